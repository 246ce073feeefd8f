"""The fixture for pytest: `pytest_plugins = ["wrapper.testing.plugin"]` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wrapper.testing.upstream import Upstream


@pytest.fixture(scope="session")
def the_upstream() -> Iterator[Upstream]:
    """The scripted API, which lives as long as the tests do."""
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(the_upstream: Upstream) -> Upstream:
    """The scripted API, with nothing recorded yet; ANTHROPIC_BASE_URL is to be its `url`."""
    the_upstream.clear()
    return the_upstream
