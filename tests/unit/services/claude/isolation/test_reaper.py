"""The reaper ends what a dead gateway left running, and nothing else."""

import fcntl
import os
import subprocess
import sys
from errno import EMFILE

import psutil
import pytest

from tests.support.lost_answers import fail_once
from tests.support.server import ROOT, alive, eventually
from wrapper.services.claude.isolation import reaper

ENDED = -9


@pytest.fixture
def directory(tmp_path):
    """A gateway's directory with a lock, and with a process's home in it."""
    directory = tmp_path / "directory"
    (directory / "home").mkdir(parents=True)
    (directory / reaper.LOCK).touch()
    return directory


@pytest.fixture
def locked(directory):
    """The directory's lock, held as by a living gateway."""
    with (directory / reaper.LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@pytest.fixture
def spawn():
    """Start long-running processes in sessions of their own, with this environment."""
    started = []

    def start(command="exec sleep 100", **environment):
        started.append(
            subprocess.Popen(
                ["sh", "-c", command],
                env={"PATH": os.environ["PATH"], **environment},
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def has_ended(process):
    """Return the exit code. Raises TimeoutExpired if the process keeps running."""
    return process.wait(10)


def test_dead_gateway(directory, spawn):
    """The processes of a dead gateway are ended, and its directory is removed."""
    processes = [spawn(TMPDIR=f"{directory}/home/tmp"), spawn(CONFIG=f"a:{directory}/home")]
    reaper.reap(directory)
    assert [has_ended(process) for process in processes] == [ENDED, ENDED]
    assert not directory.exists()


def test_living_gateway(directory, spawn, locked):
    """A living gateway's processes and directory are left alone."""
    process = spawn(TMPDIR=f"{directory}/home/tmp")
    reaper.reap(directory)
    assert process.poll() is None
    assert directory.exists()


@pytest.mark.parametrize("other", ["/elsewhere/home", "{directory}x/home", "{directory}", "x"])
def test_others(directory, spawn, other):
    """Processes of another directory are left alone, however similar its name is."""
    process = spawn(TMPDIR=other.format(directory=directory))
    reaper.reap(directory)
    assert process.poll() is None


def test_those_that_forget_where_they_come_from(directory, spawn):
    """A process that clears its environment is ended with its parent."""
    command = "env -i setsid sh -c 'echo $$; exec sleep 100' & wait"
    process = spawn(command, TMPDIR=f"{directory}/home/tmp")
    forgetful = int(process.stdout.readline())
    assert alive(forgetful)
    reaper.reap(directory)
    assert has_ended(process) in (0, ENDED)  # 0: the shell saw the end that it waits for
    assert eventually(lambda: not alive(forgetful))  # whose parent was gone before it


def test_those_that_left_their_parents(directory, spawn):
    """A background process in a session of its own is ended, too."""
    process = spawn("setsid sh -c 'echo $$; exec sleep 100' &", TMPDIR=f"{directory}/home/tmp")
    left = int(process.stdout.readline())
    assert has_ended(process) == 0
    reaper.reap(directory)
    assert not alive(left)


def test_those_that_multiply(directory, spawn):
    """A process that starts others again and again is ended with all of them."""
    command = "echo up; while :; do sh -c 'sleep 0.05; exec sleep 100' & sleep 0.01; done"
    process = spawn(command, TMPDIR=f"{directory}/home/tmp")
    process.stdout.readline()
    reaper.reap(directory)
    assert has_ended(process) == ENDED
    assert not reaper._processes_of(directory)


def test_one_home_only(directory, spawn):
    """The processes of one home are ended, and those of its neighbours are not."""
    mine, other = spawn(TMPDIR=f"{directory}/home/tmp"), spawn(TMPDIR=f"{directory}/home2/tmp")
    reaper.end(directory / "home")
    assert has_ended(mine) == ENDED
    assert other.poll() is None


def test_no_descriptor_for_a_moment(directory, spawn, monkeypatch):
    """Processes are ended although at first no descriptor is left to find them with."""
    process = spawn(TMPDIR=f"{directory}/home/tmp")
    monkeypatch.setattr(psutil, "process_iter", fail_once(psutil.process_iter, OSError(EMFILE, "")))
    reaper.end(directory / "home")
    assert has_ended(process) == ENDED


def test_nothing_to_tell_by(tmp_path):
    """A directory without a lock is not removed."""
    with pytest.raises(OSError, match="lock"):
        reaper.reap(tmp_path)
    assert tmp_path.exists()


def test_guard(directory, spawn, locked):
    """As a program it ignores signals, waits until the gateway has died, and cleans up."""
    process = spawn(TMPDIR=f"{directory}/home/tmp")
    with subprocess.Popen(reaper.command(directory), env={}) as guard:
        assert eventually(lambda: _waits_for_lock(guard.pid), 10)
        guard.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            guard.wait(0.2)
        assert process.poll() is None
        locked.close()
        assert guard.wait(10) == 0
    assert has_ended(process) == ENDED
    assert not directory.exists()


def _waits_for_lock(pid):
    with open("/proc/locks") as locks:
        return any("->" in line and f" {pid} " in line for line in locks)


def test_links_in_a_dead_gateways_place(directory, tmp_path):
    """Neither a link to a directory nor a link in place of the lock is followed."""
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(directory)
    other.mkdir()
    (other / reaper.LOCK).symlink_to(directory / reaper.LOCK)
    for folder in (link, other):
        with pytest.raises(OSError):  # noqa: PT011 - which one is the kernel's to say
            reaper.reap(folder)
    assert directory.exists()
    assert other.exists()


def test_another_users_directory(directory, monkeypatch):
    """A directory that another user has made is left alone."""
    monkeypatch.setattr(os, "getuid", lambda: directory.stat().st_uid + 1)
    with pytest.raises(PermissionError):
        reaper.reap(directory)
    assert directory.exists()


# Removal


def make_deep(folder, levels):
    """Nest directories deeper than any path can be long."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.symlink("/", "link", dir_fd=descriptor)
    os.close(descriptor)


# In a process of its own: threads of other tests may open descriptors here at the same time.
REMOVAL = """
import resource, sys
from pathlib import Path
from wrapper.services.claude.isolation import reaper

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard))
reaper.remove(Path(sys.argv[1]))
"""


def test_removal_of_any_depth(tmp_path):
    """Directories nested deeper than calls or descriptors go are removed all the same."""
    folder = tmp_path / "deep"
    folder.mkdir()
    make_deep(folder, 3000)
    try:
        subprocess.run([sys.executable, "-c", REMOVAL, str(folder)], cwd=ROOT, check=True)
        assert not folder.exists()
    finally:  # what it left would be too deep for pytest, and would fail later runs
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_removal_follows_no_link(tmp_path):
    """Links are removed, at the top and below, but not what they point to."""
    target, folder = tmp_path / "target", tmp_path / "folder"
    for one in (target, folder / "sub"):
        one.mkdir(parents=True)
    (target / "kept").write_text("kept")
    (folder / "sub" / "link").symlink_to(target)
    (folder / "file").symlink_to(target / "kept")
    (tmp_path / "top").symlink_to(target)
    for one in (folder, tmp_path / "top", tmp_path / "none", target / "kept"):
        reaper.remove(one)
    assert not folder.exists()
    assert (target / "kept").read_text() == "kept"
