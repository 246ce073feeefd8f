"""The process: what is left where there is no room for it."""

from __future__ import annotations

import contextlib
import os
import resource

import pytest

from tests.live.server import children
from wrapper.services.claude.cli import Profile
from wrapper.services.claude.failures import BootFailed
from wrapper.services.claude.process import Process


@pytest.fixture
def no_room():
    """A context in which this process cannot write a byte to any file."""

    @contextlib.contextmanager
    def limit():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


def test_no_room_for_its_files(tmp_path, no_room):
    """Where nothing can be written nothing is left, and it is said why."""
    root, config = tmp_path / "root", tmp_path / "config"
    before = children(os.getpid())
    with no_room(), pytest.raises(BootFailed, match=r"\(TMPDIR\) takes nothing: File too large"):
        Process(Profile("plain", (), {}), "/bin/cat", root, config)
    assert children(os.getpid()) == before
    assert not list(root.iterdir())
