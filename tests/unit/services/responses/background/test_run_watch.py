"""The watch of a run: whether a turn goes on, and that what it continues does not expire."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from wrapper.errors import TurnStopped, Unavailable
from wrapper.services.responses.background.run_watch import RunWatch
from wrapper.services.responses.memory_store import MemoryResponseStore
from wrapper.services.responses.records import Records

TTL = 3600.0
IDS = ("resp_1", "resp_2")


@pytest.fixture
def store(clock):
    store = MemoryResponseStore(ttl=TTL, count=10, size=10**6, timer=clock)
    for id_ in IDS:
        store.put("alice", id_, b"x")
    return store


def watch_of(store, clock, *, cancelled=False):
    running: Any = SimpleNamespace(cancelled=lambda: cancelled)
    turn: Any = SimpleNamespace(path=IDS, records=Records(store, "alice"))
    watch = RunWatch(running, TTL, clock)
    watch.keep(turn)
    return watch


def test_a_turn_of_hours(store, clock):
    """However long a turn lasts, what it continues is there at its end, and for a while after."""
    watch = watch_of(store, clock)
    for _ in range(100):
        clock.now += TTL / 10
        assert not watch.gone()
    clock.now += TTL / 2
    assert len(store.keys()) == 2
    clock.now += TTL
    assert not store.keys()


def test_store_away(store, clock, monkeypatch):
    """A store that is away for a moment does not end the turn."""

    def fail(owner, ids):
        raise Unavailable("Redis cannot be reached")

    watch = watch_of(store, clock)
    with monkeypatch.context() as patch:
        patch.setattr(store, "touch", fail)
        clock.now += TTL / 2
        assert not watch.gone()
    clock.now += TTL / 3
    assert not watch.gone()
    clock.now += TTL / 2
    assert len(store.keys()) == 2


def test_cancelled(store, clock):
    """A turn ends once its job is cancelled."""
    with pytest.raises(TurnStopped):
        watch_of(store, clock, cancelled=True).gone()
