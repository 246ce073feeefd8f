"""Leases: where the process of a lease comes from, and which get a low priority."""

import asyncio
import errno
import os
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.clock import Clock
from tests.support.threads import no_thread
from wrapper import host
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.isolation.workspaces import Workspaces
from wrapper.services.claude.processes.binary import Binary, stamp_of
from wrapper.services.claude.processes.leasing import Lease, LeaseManager
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.supervisor import STOPPING_THREADS
from wrapper.services.claude.processes.trials.trials import Candidate, Trials
from wrapper.services.turn import Message, SessionKey, Turn
from wrapper.settings import Settings

PROCESS = cast(Process, object())
BINARY = Binary("/bin/cat", "1", "PATH", stamp=stamp_of("/bin/cat"))
PLAIN = Profile("plain", (), {}, pooled=True)
SESSION, STATE = SessionKey("alice", "s", "1"), ProcessState((Message("user", ("Hi",)),))


@pytest.mark.parametrize(
    ("lease", "source"),
    [
        (Lease(PROCESS), "warm"),
        (Lease(PROCESS, cold=True), "cold"),
        (Lease(PROCESS, parked=ParkedProcess(SESSION, PROCESS, ())), "parked"),
        (Lease(PROCESS, parked=ParkedProcess(None, PROCESS, (), STATE)), "parked"),
        (Lease(PROCESS, parked=ParkedProcess(None, PROCESS, ())), "recycled"),
    ],
)
def test_source(lease, source):
    """A process was ready or not, or has run a turn before, of this conversation or another."""
    assert lease.source == source


class FakeProcess:
    pid = 7


@pytest.fixture
def one_core(monkeypatch):
    monkeypatch.setattr(host, "cores", lambda: 1)


@pytest.fixture
def leases(tmp_path, monkeypatch):
    profiles = {
        name: cast(Profile, SimpleNamespace(name=name, pooled=True)) for name in ("agent", "plain")
    }
    folder = str(tmp_path / "sessions")
    settings = Settings(session_dir=folder, pool_size=0, pool_size_other=0, parked_max_rss=10**6)
    leases = LeaseManager(settings, {}, profiles, Lifecycle(), lambda process: None)
    monkeypatch.setattr(leases.supervisor, "boot", lambda *_: FakeProcess())
    yield leases
    leases.close()


@pytest.mark.parametrize(
    ("background", "session", "is_lowered"),
    [(True, None, True), (True, SESSION, False), (False, None, False)],
)
def test_priority(background, session, is_lowered, monkeypatch, leases):
    """A process gets a low priority if only turns in the background may run on it."""
    lowered: list[int] = []
    monkeypatch.setattr(host, "lower_priority", lowered.append)
    turn = Turn("sonnet", (), profile="plain", background=background, session=session)
    leases.release(asyncio.run(leases.lease(turn)), turn, None)
    assert lowered == [7] * is_lowered


def test_no_thread_to_boot_in(monkeypatch, tmp_path):
    """A turn whose process no thread could boot gets one once there are threads again."""
    monkeypatch.setattr("wrapper.services.claude.processes.leasing.CLEANUP_SECONDS", 0.01)
    profile = cast(Profile, SimpleNamespace(name="plain", pooled=True))
    settings = Settings(session_dir=str(tmp_path / "sessions"), pool_size=0, pool_size_other=0)
    leases = LeaseManager(settings, {}, {"plain": profile}, Lifecycle(), lambda process: None)
    monkeypatch.setattr(leases.supervisor, "boot", lambda *_: FakeProcess())
    monkeypatch.setattr(leases.supervisor, "discard", lambda process: None)
    leases.fill()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        future = leases.lease_warm("plain")
    try:
        assert future.result(30).pid == 7
    finally:
        leases.close()


@pytest.fixture
def process(leases):
    """A process that the supervisor has started."""
    return leases.supervisor._spawn(Profile("agent", (), {}, has_tools=True), BINARY)


def fail(*_):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_release_that_fails(leases, process, monkeypatch):
    """A process that cannot be parked is stopped."""
    monkeypatch.setattr(leases.parking, "park", fail)
    monkeypatch.setattr(leases.supervisor, "boot", lambda *_: process)
    turn = Turn("sonnet", STATE.known, session=SESSION)
    lease = asyncio.run(leases.lease(turn))
    with pytest.raises(OSError, match="Too many open files"):
        leases.release(lease, turn, STATE)
    assert not leases.supervisor._stages.begin_stop(process)  # it is stopped already


def test_stop_that_fails(leases, process, monkeypatch):
    """A process whose stop fails is forgotten, so that its directory is removed later."""
    monkeypatch.setattr(reaper, "end", fail)
    with pytest.raises(OSError, match="Too many open files"):
        leases.supervisor._stop(process)
    assert not leases.supervisor._stages.uses(process.home)


class RecycledProcess(FakeProcess):
    """A process that has run a turn, and can be cleared of it."""

    pid = os.getpid()
    qualification = Qualification(trusted=True)

    def send(self, frame, seconds):
        """Answer at once."""

    def tell(self, frame):
        """Take it."""

    def alive_and_silent(self):
        return True

    def exit_code(self):
        return None


def test_clearing_beside_long_removals(leases, monkeypatch):
    """A turn's process is cleared although all threads that stop processes are busy."""
    monkeypatch.setattr(host, "scarce", lambda: False)
    turn, removed = Turn("sonnet", STATE.known, profile="plain"), threading.Event()
    monkeypatch.setattr(leases.supervisor, "boot", lambda *_: RecycledProcess())
    before = asyncio.run(leases.lease(turn))
    for _ in range(STOPPING_THREADS):
        leases.supervisor.run_later(removed.wait)
    try:
        leases.release(before, turn, STATE)
        lease = asyncio.run(asyncio.wait_for(leases.lease(turn), 20))
    finally:
        removed.set()
    assert (lease.process, lease.source) == (before.process, "recycled")


def test_directory_of_a_long_turn(leases, tmp_path, monkeypatch):
    """A session's directory is kept while a turn runs in it, and for its time after that."""
    clock = Clock(1000.0)
    workspaces = Workspaces("", str(tmp_path), 100.0, clock)
    monkeypatch.setattr(leases, "_workspaces", workspaces)
    turn = Turn("sonnet", (), session=SESSION)
    lease = asyncio.run(leases.lease(turn))
    clock.now += 1000.0
    leases._clean_up()
    assert os.listdir(tmp_path) == [SESSION.uid]
    leases.release(lease, turn, None)
    clock.now += 101.0
    leases._clean_up()
    assert os.listdir(tmp_path) == []


def test_boot_beside_checks(one_core, leases, monkeypatch):
    """A turn gets a process although checks of another one take long in the background."""
    first, checked = Candidate(BINARY, PLAIN, Qualification()), threading.Event()
    monkeypatch.setattr(Trials, "_try_first", lambda *_: first)
    monkeypatch.setattr(Trials, "_try_rest", lambda *_: checked.wait())
    leases.supervisor.trials.qualify(BINARY, PLAIN)
    try:
        assert leases.lease_warm("plain").result(20).pid == FakeProcess.pid
    finally:
        checked.set()
