"""A gateway's runtime directory: its lock, its reaper, and those of dead gateways."""

import os
import subprocess
import sys
import tempfile

import pytest

from tests.support.server import alive, eventually
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.processes.runtime_dir import PREFIX, RuntimeDirectory, reap_abandoned

# A gateway that prints its directory, starts a process in it, and runs until it is killed.
GATEWAY = """
import os, signal, subprocess, sys, tempfile
from wrapper.services.claude.processes.runtime_dir import RuntimeDirectory
tempfile.tempdir = sys.argv[1]
directory = RuntimeDirectory()
if "reaped" in sys.argv:
    directory.start_reaper()
began = subprocess.Popen(["sleep", "100"], env={**os.environ, "X": f"{directory.path}/home"})
print(directory.path, began.pid, flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Keep all runtime directories in a directory of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def directory():
    directory = RuntimeDirectory()
    yield directory
    directory.remove()


def killed(here, *arguments):
    """Start a gateway, kill it, and return its directory and the process that it leaves."""
    command = [sys.executable, "-c", GATEWAY, str(here), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout
        directory, pid = gateway.stdout.readline().split()
        gateway.kill()
    return here / directory, int(pid)


def test_root(directory, here):
    """Only its user may enter a gateway's directory, and hold its lock."""
    assert directory.path.parent == here
    assert directory.path.name.startswith(PREFIX)
    assert directory.path.stat().st_mode & 0o077 == 0
    assert (directory.path / reaper.LOCK).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in here.iterdir()] == [directory.path.name]


def test_removal(here):
    """Removing the directory ends its reaper."""
    directory = RuntimeDirectory()
    directory.start_reaper()
    assert (reaper_process := directory._reaper)
    (directory.path / "home").mkdir()
    directory.remove()
    assert reaper_process.returncode == 0
    assert list(here.iterdir()) == []


def test_there_is_one_reaper(directory):
    """There is one reaper, however often it is started; one that was killed is replaced."""
    directory.start_reaper()
    first = directory._reaper
    directory.start_reaper()
    assert directory._reaper is first
    first.kill()
    first.wait()
    directory.start_reaper()
    assert directory._reaper is not first
    assert directory._reaper.poll() is None


def test_reaper_sees_no_secret(directory, monkeypatch):
    """The reaper gets the directory, and nothing of the gateway's environment."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    directory.start_reaper()
    with open(f"/proc/{directory._reaper.pid}/environ") as seen:
        assert "secret" not in seen.read()


def test_killed_gateway(here):
    """The reaper ends the processes of a gateway that is killed."""
    directory, pid = killed(here, "reaped")
    assert eventually(lambda: not alive(pid), 10)
    assert eventually(lambda: not directory.exists(), 10)


def test_abandoned(here):
    """The next gateway ends the processes of one that was killed without a reaper."""
    directory, pid = killed(here)
    assert alive(pid)
    reap_abandoned()
    assert not alive(pid)
    assert not directory.exists()


def test_not_abandoned(directory):
    """A living gateway's directory is left alone, even by another in the same process."""
    reap_abandoned()
    assert directory.path.exists()


def test_strangers(here):
    """Other directories are left alone, even if their names look similar."""
    strangers = [here / "other", here / f"{PREFIX}notes", here / f"x{PREFIX}"]
    for folder in strangers:
        folder.mkdir()
    reap_abandoned()
    assert all(folder.exists() for folder in strangers)


def test_links(here, tmp_path_factory):
    """A link with the name of a runtime directory is not followed."""
    target = tmp_path_factory.mktemp("target")
    (target / reaper.LOCK).touch()
    (here / f"{PREFIX}link").symlink_to(target)
    reap_abandoned()
    assert target.exists()


def test_signals_do_not_reach_the_reaper(directory):
    """A signal to the gateway's session does not reach its reaper."""
    directory.start_reaper()
    assert os.getsid(directory._reaper.pid) == directory._reaper.pid != os.getsid(0)
