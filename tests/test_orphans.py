"""The orphans: what a dead gateway left running is ended, and nothing else."""

import os
import subprocess
import tempfile

import pytest

from wrapper.services.claude import orphans


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Keep all roots in a directory of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def spawn():
    """Start processes that would run for long, each in a session of its own."""
    started = []

    def start():
        started.append(subprocess.Popen(["sleep", "100"], start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def dead():
    """The id of a process that is no more."""
    process = subprocess.Popen(["sleep", "0"])
    process.wait()
    return process.pid


def house(root, name="home"):
    home = root / name
    home.mkdir()
    return home


def has_ended(process):
    """Say how it ended, as soon as it has; a process that runs on raises TimeoutExpired."""
    return process.wait(10)


def test_root(here):
    """A gateway process gets a directory that bears its id and that only its user may enter."""
    root = orphans.make_root(4711)
    assert root.parent == here
    assert root.name.startswith(f"{orphans.PREFIX}4711-")
    assert root.stat().st_mode & 0o077 == 0
    assert orphans.make_root(4711) != root


def test_reaping(spawn):
    """What a dead gateway process left is ended, and its directories are removed."""
    roots = [orphans.make_root(4711), orphans.make_root(4711)]
    processes = [spawn(), spawn(), spawn()]
    orphans.register(house(roots[0], "a"), processes[0].pid)
    orphans.register(house(roots[0], "b"), processes[1].pid)
    orphans.register(house(roots[1], "c"), processes[2].pid)
    orphans.reap(4711)
    assert [has_ended(process) for process in processes] == [-9, -9, -9]
    assert not any(root.exists() for root in roots)


@pytest.mark.parametrize("other", [471, 47110, 1])
def test_reaping_one_only(spawn, other):
    """What another gateway process has is left alone, however alike their ids."""
    root, process = orphans.make_root(other), spawn()
    orphans.register(house(root), process.pid)
    orphans.reap(4711)
    assert process.poll() is None
    assert root.exists()


def test_ids_are_used_again(spawn):
    """A process that only has the same id as a dead one is left alone."""
    root, process = orphans.make_root(4711), spawn()
    home = house(root)
    orphans.register(home, process.pid)
    pid, _, started = (home / "pid").read_text().partition(" ")
    (home / "pid").write_text(f"{pid} {int(started) - 1}")
    orphans.reap(4711)
    assert process.poll() is None
    assert not root.exists()


def test_processes_that_have_ended(dead):
    """A process that is gone already is no hindrance."""
    root = orphans.make_root(4711)
    orphans.register(house(root), dead)
    orphans.reap(4711)
    assert not root.exists()


@pytest.mark.parametrize("note", ["", " ", "12", "12 "])
def test_unfinished_notes(note):
    """A note that was not written to its end is no hindrance."""
    root = orphans.make_root(4711)
    (house(root) / "pid").write_text(note)
    orphans.reap(4711)
    assert not root.exists()


def test_abandoned(spawn, dead):
    """What a gateway left whose process is gone is ended, unasked."""
    root, process = orphans.make_root(dead), spawn()
    orphans.register(house(root), process.pid)
    orphans.reap_abandoned()
    assert has_ended(process) == -9
    assert not root.exists()


def test_abandoned_by_a_zombie(spawn):
    """A gateway process that has ended, but that nobody has waited for, is gone as well."""
    owner = subprocess.Popen(["sleep", "0"])
    os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
    root, process = orphans.make_root(owner.pid), spawn()
    orphans.register(house(root), process.pid)
    orphans.reap_abandoned()
    owner.wait()
    assert has_ended(process) == -9
    assert not root.exists()


def test_not_abandoned(spawn):
    """What a gateway has that is running is left alone."""
    root, process = orphans.make_root(os.getpid()), spawn()
    orphans.register(house(root), process.pid)
    orphans.reap_abandoned()
    assert process.poll() is None
    assert root.exists()


def test_strangers(here, dead):
    """Directories that are no gateway's are left alone, also where their names look alike."""
    strangers = [
        here / "other",
        here / f"{orphans.PREFIX}notes",
        here / f"x{orphans.PREFIX}{dead}-",
    ]
    for folder in strangers:
        folder.mkdir()
    orphans.reap_abandoned()
    assert all(folder.exists() for folder in strangers)


def test_links(here, dead, tmp_path_factory, spawn):
    """A link that bears a root's name is not followed."""
    target, process = tmp_path_factory.mktemp("target"), spawn()
    orphans.register(house(target), process.pid)
    (here / f"{orphans.PREFIX}{dead}-link").symlink_to(target)
    orphans.reap_abandoned()
    orphans.reap(dead)
    assert process.poll() is None
    assert target.exists()


def test_nothing_to_reap(here):
    """Where nothing was left there is nothing to do."""
    orphans.reap(4711)
    orphans.reap_abandoned()
    assert list(here.iterdir()) == []
