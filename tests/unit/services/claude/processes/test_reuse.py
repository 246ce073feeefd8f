"""The reuse of processes: which are parked after a turn, and which are stopped."""

import asyncio
import os
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.server import eventually
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.reuse import Reuse
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.turn import Message, SessionKey, Turn
from wrapper.settings import Settings

SESSION = SessionKey("alice", "s", "1")
MESSAGES = (Message("user", ("Hi",)), Message("assistant", ("Hello.",)))
STATE = ProcessState(MESSAGES)
AGENT = Turn("sonnet", MESSAGES[:1], session=SESSION)


class FakeProcess:
    pid = 2**30  # of no process
    qualification = Qualification(trusted=True)

    def alive_and_silent(self):
        return True

    def exit_code(self):
        return None


class World:
    def __init__(self, patience=5.0, **settings):
        self.stopped: list[Process] = []
        supervisor = cast(Supervisor, SimpleNamespace(discard=self.stopped.append))
        self.reuse = Reuse(Settings(**settings), supervisor, lambda: True, patience)

    def park(self, turn, state, limit=9, process=None):
        process = cast(Process, process or FakeProcess())
        self.reuse.park(turn, process, None, state, limit)
        return process


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr("wrapper.host.scarce", lambda: False)
    return World(pool_recycle="false")


def test_next_turn(world):
    """The next turn of a session gets the process of the one before, with its state."""
    process = world.park(AGENT, STATE)
    later = Turn("sonnet", (*MESSAGES, Message("user", ("And?",))), session=SESSION)
    parked = asyncio.run(world.reuse.take(later, None))
    assert (parked.process, parked.state, world.stopped) == (process, STATE, [])


@pytest.mark.parametrize(
    ("turn", "state"),
    [(AGENT, None), (Turn("sonnet", MESSAGES[:1], profile="plain"), STATE)],
)
def test_stopped(turn, state, world):
    """A process is stopped if no other turn may run on it, or none could continue its own."""
    process = world.park(turn, state)
    assert (world.stopped, world.reuse.parking.count()) == ([process], 0)


def test_limit(world):
    """No more processes stay parked than the limit allows."""
    process = world.park(AGENT, STATE, limit=0)
    assert (world.stopped, world.reuse.parking.count()) == ([process], 0)


class SlowProcess(FakeProcess):
    """A process whose clearing goes on until it is `cleared`."""

    pid = os.getpid()

    def __init__(self):
        self.cleared = threading.Event()

    def send(self, frame, seconds):
        self.cleared.wait()


def test_patience(monkeypatch):
    """A turn does not wait long for a process to be cleared, which is stopped after that."""
    monkeypatch.setattr("wrapper.host.scarce", lambda: False)
    world, slow = World(patience=0.0, parked_max_rss=10**6), SlowProcess()
    turn = Turn("sonnet", MESSAGES[:1], profile="plain")
    process = world.park(turn, STATE, process=slow)
    try:
        assert asyncio.run(asyncio.wait_for(world.reuse.take(turn, None), 20)) is None
    finally:
        slow.cleared.set()
    assert eventually(lambda: world.stopped == [process])
