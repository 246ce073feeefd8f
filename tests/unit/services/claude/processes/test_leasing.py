"""Leases: where the process of a lease comes from, and which get a low priority."""

import asyncio
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from wrapper import host
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.claude.processes.leasing import Lease, LeaseManager
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.turn import Message, SessionKey, Turn
from wrapper.settings import Settings

PROCESS = cast(Process, object())
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


@pytest.mark.parametrize(
    ("background", "session", "is_lowered"),
    [(True, None, True), (True, SESSION, False), (False, None, False)],
)
def test_priority(background, session, is_lowered, monkeypatch, tmp_path):
    """A process gets a low priority if only turns in the background may run on it."""
    lowered: list[int] = []
    monkeypatch.setattr(host, "lower_priority", lowered.append)
    profile = cast(Profile, SimpleNamespace(name="plain", pooled=True))
    settings = Settings(session_dir=str(tmp_path / "sessions"), pool_size=0, pool_size_other=0)
    leases = LeaseManager(settings, {}, {"plain": profile}, Lifecycle(), lambda process: None)
    monkeypatch.setattr(leases.supervisor, "boot", lambda *_: FakeProcess())
    turn = Turn("sonnet", (), profile="plain", background=background, session=session)
    try:
        leases.release(asyncio.run(leases.lease(turn)), turn, None)
    finally:
        leases.close()
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


def no_thread(thread):
    raise RuntimeError("can't start new thread")
