"""The process's directories: who owns them, and that they are removed."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import tempfile
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.server import children
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.isolation import reaper, unix_user
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile


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
    """If its files cannot be written the boot fails with the reason, and nothing is left."""
    root, config = tmp_path / "root", tmp_path / "config"
    before = children(os.getpid())
    with (
        no_room(),
        pytest.raises(BootFailed, match="TMPDIR cannot be written to: File too large"),
    ):
        Process(Profile("plain", (), {}), "/bin/cat", root, config)
    assert children(os.getpid()) == before
    assert not list(root.iterdir())


@pytest.mark.parametrize("alike", [True, False])
def test_untrusted_settings(tmp_path, alike):
    """In a plain process's directory `.claude` is a link to nothing; an agent's is empty."""
    process = Process(Profile("any", (), {}, alike=alike), "/bin/true", tmp_path / "root")
    try:
        found = [(path.name, path.is_symlink(), path.exists()) for path in _files(process)]
    finally:
        process.stop()
    assert found == ([(".claude", True, False)] if alike else [])
    assert not process.home.exists()


def _files(process):
    return Path(process.directory).iterdir()


def test_a_group_that_has_ended(tmp_path, monkeypatch):
    """A process is stopped even if its ended group refuses signals, as on macOS."""
    process = Process(Profile("plain", (), {}), "/bin/true", tmp_path / "root")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    process.stop()
    assert process.exit_code() == 0
    assert not process.home.exists()


def test_what_remains_after_an_error(tmp_path, monkeypatch):
    """A process's pipes are closed and its directories are removed even if stopping it fails."""

    def fail(home):
        raise OSError(errno.EMFILE, "no descriptor is left")

    monkeypatch.setattr(reaper, "end", fail)
    process = Process(Profile("agent", (), {}, has_tools=True), "/bin/cat", tmp_path / "root")
    files = process._files
    with pytest.raises(OSError, match="no descriptor"):
        process.stop()
    assert [file.closed for file in files] == [True] * 3
    assert not process.home.exists()


@pytest.mark.parametrize("shared", [False, True])
def test_links_that_an_agent_has_planted(tmp_path, shared):
    """Stopping a process removes nothing through a link in its directories."""
    config = tmp_path / "login" if shared else None
    if config:
        config.mkdir()
    process = Process(Profile("agent", (), {}), "/bin/cat", tmp_path / "root", config)
    target = tmp_path / "target"
    target.mkdir()
    kept = target / f"{process.pid}.json"
    kept.write_text("kept")
    ((config or process.home / "config") / "sessions").symlink_to(target)
    (process.home / "work" / "link").symlink_to(target)
    process.stop()
    assert kept.read_text() == "kept"
    assert not process.home.exists()


def test_the_file_of_a_process_in_a_shared_directory(tmp_path):
    """In a shared config directory only the file of the stopped process is removed."""
    config = tmp_path / "login"
    (config / "sessions").mkdir(parents=True)
    process = Process(Profile("agent", (), {}), "/bin/cat", tmp_path / "root", config)
    for name in (process.pid, 1):
        (config / "sessions" / f"{name}.json").write_text("")
    process.stop()
    assert os.listdir(config / "sessions") == ["1.json"]


def test_directories_of_another_user(tmp_path):
    """The user owns the process's directories but not their parent, whatever the umask is."""
    if os.geteuid() != 0:
        cli.missing("right to run processes as another user: be root")
    before = os.umask(0o077)
    try:
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            Path(name).chmod(0o711)
            user = unix_user.find("nobody")
            process = Process(Profile("agent", (), {}, user=user), "/bin/cat", Path(name))
            assert user.can("x", process.home / "work")
            assert not user.can("w", process.home)
            assert {path.stat().st_uid for path in process.home.iterdir()} == {user.uid}
            process.stop()
    finally:
        os.umask(before)
