"""The pytest fixture; a conftest.py has `pytest_plugins = ["wrapper.testing.plugin"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wrapper.testing.upstream import Upstream


@pytest.fixture(scope="session")
def the_upstream() -> Iterator[Upstream]:
    """The scripted API, for the whole session."""
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(the_upstream: Upstream) -> Upstream:
    """The scripted API without recorded requests. Set ANTHROPIC_BASE_URL to its `url`."""
    the_upstream.clear()
    return the_upstream
