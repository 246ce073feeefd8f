"""What tests of faults share: a crooked `claude`."""

from __future__ import annotations

import sys

import pytest

from tests.support.faults import program
from tests.support.server import ROOT


@pytest.fixture(scope="session")
def crooked(tmp_path_factory) -> str:
    """A `claude` that misbehaves as it is told; see claude.py."""
    code = ROOT / "tests" / "support" / "claude.py"
    return program(tmp_path_factory.mktemp("crooked"), f'exec {sys.executable} -IS {code} "$@"')
