"""The orphans: what a dead gateway left running is ended, and nothing else."""

import fcntl
import os
import resource
import subprocess
import sys

import pytest

from tests.support.server import alive, eventually
from wrapper.services.claude.isolation import reaper

ENDED = -9


@pytest.fixture
def root(tmp_path):
    """A root with a lock, and with a home in it."""
    root = tmp_path / "root"
    (root / "home").mkdir(parents=True)
    (root / reaper.LOCK).touch()
    return root


@pytest.fixture
def locked(root):
    """That root's lock, held as a living gateway does."""
    with (root / reaper.LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@pytest.fixture
def spawn():
    """Start processes that would run for long, in sessions of their own, with this environment."""
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
    """Say how it ended, as soon as it has; a process that runs on raises TimeoutExpired."""
    return process.wait(10)


def test_dead_gateway(root, spawn):
    """What was started for a dead gateway's root is ended, and the root is removed."""
    processes = [spawn(TMPDIR=f"{root}/home/tmp"), spawn(CONFIG=f"a:{root}/home")]
    reaper.reap(root)
    assert [has_ended(process) for process in processes] == [ENDED, ENDED]
    assert not root.exists()


def test_living_gateway(root, spawn, locked):
    """What a living gateway has is left alone."""
    process = spawn(TMPDIR=f"{root}/home/tmp")
    reaper.reap(root)
    assert process.poll() is None
    assert root.exists()


@pytest.mark.parametrize("other", ["/elsewhere/home", "{root}x/home", "{root}", "x"])
def test_others(root, spawn, other):
    """What was started for another directory is left alone, however alike they are."""
    process = spawn(TMPDIR=other.format(root=root))
    reaper.reap(root)
    assert process.poll() is None


def test_those_that_forget_where_they_come_from(root, spawn):
    """What clears its environment is ended with whoever started it."""
    command = "env -i setsid sh -c 'echo $$; exec sleep 100' & wait"
    process = spawn(command, TMPDIR=f"{root}/home/tmp")
    forgetful = int(process.stdout.readline())
    assert alive(forgetful)
    reaper.reap(root)
    assert has_ended(process) == ENDED
    assert eventually(lambda: not alive(forgetful))  # whose parent was gone before it


def test_those_that_left_their_parents(root, spawn):
    """What was put into the background, in a session of its own, is ended, too."""
    process = spawn("setsid sh -c 'echo $$; exec sleep 100' &", TMPDIR=f"{root}/home/tmp")
    left = int(process.stdout.readline())
    assert has_ended(process) == 0
    reaper.reap(root)
    assert not alive(left)


def test_those_that_multiply(root, spawn):
    """What starts others again and again is ended to the last."""
    command = "echo up; while :; do sh -c 'sleep 0.05; exec sleep 100' & sleep 0.01; done"
    process = spawn(command, TMPDIR=f"{root}/home/tmp")
    process.stdout.readline()
    reaper.reap(root)
    assert has_ended(process) == ENDED
    assert not reaper._processes_of(root)


def test_one_home_only(root, spawn):
    """What was started for one home is ended, and what was for its neighbours is not."""
    mine, other = spawn(TMPDIR=f"{root}/home/tmp"), spawn(TMPDIR=f"{root}/home2/tmp")
    reaper.end(root / "home")
    assert has_ended(mine) == ENDED
    assert other.poll() is None


def test_nothing_to_tell_by(tmp_path):
    """A directory without a lock is nobody's to remove."""
    with pytest.raises(OSError, match="lock"):
        reaper.reap(tmp_path)
    assert tmp_path.exists()


def test_guard(root, spawn, locked):
    """As a program it waits for the gateway's end, whatever it is told, and then does its work."""
    process = spawn(TMPDIR=f"{root}/home/tmp")
    command = [sys.executable, "-I", "-S", reaper.__file__, str(root)]
    with subprocess.Popen(command, env={}) as guard:
        assert eventually(lambda: _waits_for_lock(guard.pid), 10)
        guard.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            guard.wait(0.2)
        assert process.poll() is None
        locked.close()
        assert guard.wait(10) == 0
    assert has_ended(process) == ENDED
    assert not root.exists()


def _waits_for_lock(pid):
    with open("/proc/locks") as locks:
        return any("->" in line and f" {pid} " in line for line in locks)


def test_links_in_a_dead_gateways_place(root, tmp_path):
    """Neither a link to a directory nor a link in place of the lock is followed."""
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(root)
    other.mkdir()
    (other / reaper.LOCK).symlink_to(root / reaper.LOCK)
    for folder in (link, other):
        with pytest.raises(OSError):  # noqa: PT011 - which one is the kernel's to say
            reaper.reap(folder)
    assert root.exists()
    assert other.exists()


def test_another_users_directory(root, monkeypatch):
    """A directory that another user has made is left alone."""
    monkeypatch.setattr(os, "getuid", lambda: root.stat().st_uid + 1)
    with pytest.raises(PermissionError):
        reaper.reap(root)
    assert root.exists()


# Removal


def make_deep(folder, levels):
    """Make directories in one another, deeper than any path can say."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.symlink("/", "link", dir_fd=descriptor)
    os.close(descriptor)


def test_removal_of_any_depth(tmp_path):
    """What an agent has nested deeper than calls or descriptors go is removed all the same."""
    folder = tmp_path / "deep"
    folder.mkdir()
    make_deep(folder, 3000)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, before[1]))
    try:
        reaper.remove(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not folder.exists()


def test_removal_follows_no_link(tmp_path):
    """Links are removed, at the top and below, and what they lead to is not."""
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
