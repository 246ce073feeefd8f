"""The process: which Claude Code may serve, and what is left where there is no room for it."""

from __future__ import annotations

import contextlib
import os
import resource

import pytest

from tests.live.server import children
from wrapper.services.claude.cli import OLDEST_READ_ONLY, OLDEST_VERSION, Profile
from wrapper.services.claude.process import (
    BootFailed,
    Process,
    Refused,
    check_read_only,
    check_version,
)


def text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@pytest.mark.parametrize(
    ("check", "oldest"), [(check_version, OLDEST_VERSION), (check_read_only, OLDEST_READ_ONLY)]
)
def test_oldest_version(check, oldest):
    """The oldest version that will do is taken, and the one before is refused with the mend."""
    check(text(oldest))
    before = (*oldest[:-1], oldest[-1] - 1)
    with pytest.raises(Refused, match=f"older than {text(oldest)}.*pip install"):
        check(text(before))


def test_what_else_an_older_one_may_do():
    """Where an older Claude Code is kept, a setting that holds its commands will do as well."""
    with pytest.raises(Refused, match="take Bash out of CLAUDE_TOOLS, or set CLAUDE_SANDBOX=true"):
        check_read_only(text(OLDEST_VERSION))


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
