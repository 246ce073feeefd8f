"""The root: a gateway's directory, its lock, and those that are left of others."""

import os
import subprocess
import sys
import tempfile

import pytest

from tests.support.server import alive, eventually
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.processes.runtime_dir import PREFIX, RuntimeDirectory, reap_abandoned

# A gateway that says where its root is, starts something in it, and lives until it is killed.
GATEWAY = """
import os, signal, subprocess, sys, tempfile
from wrapper.services.claude.processes.runtime_dir import RuntimeDirectory
tempfile.tempdir = sys.argv[1]
root = RuntimeDirectory()
if "guarded" in sys.argv:
    root.start_reaper()
began = subprocess.Popen(["sleep", "100"], env={**os.environ, "X": f"{root.path}/home"})
print(root.path, began.pid, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Keep all roots in a directory of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def root():
    root = RuntimeDirectory()
    yield root
    root.remove()


def killed(here, *arguments):
    """Start a gateway, kill it, and return its root and the process that it has left."""
    command = [sys.executable, "-c", GATEWAY, str(here), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout
        root, pid = gateway.stdout.readline().split()
        gateway.kill()
    return here / root, int(pid)


def test_root(root, here):
    """A gateway gets a directory that only its user may enter, and nobody hold the lock of."""
    assert root.path.parent == here
    assert root.path.name.startswith(PREFIX)
    assert root.path.stat().st_mode & 0o077 == 0
    assert (root.path / reaper.LOCK).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in here.iterdir()] == [root.path.name]


def test_removal(here):
    """A root that is removed is gone, and its guard with it."""
    root = RuntimeDirectory()
    root.start_reaper()
    assert (guard := root._reaper)
    (root.path / "home").mkdir()
    root.remove()
    assert guard.returncode == 0
    assert list(here.iterdir()) == []


def test_guard_is_one(root):
    """There is one guard, however often one is asked for; where it was killed another is had."""
    root.start_reaper()
    first = root._reaper
    root.start_reaper()
    assert root._reaper is first
    first.kill()
    first.wait()
    root.start_reaper()
    assert root._reaper is not first
    assert root._reaper.poll() is None


def test_guard_sees_no_secret(root, monkeypatch):
    """The guard is told where to look, and has nothing of the gateway's environment."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    root.start_reaper()
    with open(f"/proc/{root._reaper.pid}/environ") as seen:
        assert "secret" not in seen.read()


def test_killed_gateway(here):
    """What a gateway has that is killed is ended at once by its guard."""
    root, pid = killed(here, "guarded")
    assert eventually(lambda: not alive(pid), 10)
    assert eventually(lambda: not root.exists(), 10)


def test_abandoned(here):
    """What a gateway left that had no guard is ended by the next one."""
    root, pid = killed(here)
    assert alive(pid)
    reap_abandoned()
    assert not alive(pid)
    assert not root.exists()


def test_not_abandoned(root):
    """What a living gateway has is left alone, also by another in the same process."""
    reap_abandoned()
    assert root.path.exists()


def test_strangers(here):
    """Directories that are no gateway's are left alone, also where their names look alike."""
    strangers = [here / "other", here / f"{PREFIX}notes", here / f"x{PREFIX}"]
    for folder in strangers:
        folder.mkdir()
    reap_abandoned()
    assert all(folder.exists() for folder in strangers)


def test_links(here, tmp_path_factory):
    """A link that bears a root's name is not followed."""
    target = tmp_path_factory.mktemp("target")
    (target / reaper.LOCK).touch()
    (here / f"{PREFIX}link").symlink_to(target)
    reap_abandoned()
    assert target.exists()


def test_signals_are_the_guards_own(root):
    """A signal to all of the gateway's session does not reach its guard."""
    root.start_reaper()
    assert os.getsid(root._reaper.pid) == root._reaper.pid != os.getsid(0)
