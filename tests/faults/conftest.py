"""What tests of faults share: a crooked `claude`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.servers import program


@pytest.fixture(scope="session")
def crooked(tmp_path_factory) -> str:
    """A `claude` that misbehaves as it is told; see claude.py."""
    code = Path(__file__).with_name("claude.py")
    return program(tmp_path_factory.mktemp("crooked"), f'exec {sys.executable} -IS {code} "$@"')
