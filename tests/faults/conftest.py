"""The fixture that the tests of faults share."""

from __future__ import annotations

import pytest

from tests.support import faults


@pytest.fixture(scope="session")
def faulty_claude(tmp_path_factory) -> str:
    """A `claude` that misbehaves as a directive says; see tests/support/faulty_claude.py."""
    return faults.faulty_claude(tmp_path_factory.mktemp("faulty"))
