"""The worker service: each worker shows all of them, and stops turns of any."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.support.log_records import records_of
from wrapper.errors import TurnStopped, Unavailable
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.limits.admission import Admission
from wrapper.services.principal import Caller, Principal
from wrapper.services.store_health import StoreFailed
from wrapper.services.workers.service import Workers, open_workers
from wrapper.services.workers.sqlite_store import SqliteWorkerStore
from wrapper.services.workers.state import decode, encode
from wrapper.services.workers.store import Stop
from wrapper.settings import Settings

ANN, BOB, EVE = Principal("ann"), Principal("bob"), Principal("eve", admin=True)


class Worker:
    """A worker with a store in the file that it shares with others."""

    def __init__(self, file, *, is_alone=False):
        self.admission = Admission(4, queue=9)
        self.store = SqliteWorkerStore(str(file))
        self.service = Workers(
            self.store,
            self.admission,
            lambda: {"status": "ok", "turns": self.admission.load()},
            Lifecycle(),
            most_waiting=9,
            is_alone=lambda: is_alone,
        )

    def owners(self):
        """Return what the service shows of requests: whose they are, and whether they stop."""
        states = self.service.states()
        return [(each.owner, each.stopped) for state in states for each in state.requests]


@pytest.fixture
def make(tmp_path):
    """Return a function that makes workers which share a file."""
    made = []

    def make(**options):
        made.append(Worker(tmp_path / "usage.db", **options))
        return made[-1]

    yield make
    for worker in made:
        worker.service.close()


def test_all_are_seen(make):
    """Once somebody looks, each worker shows the others, until they end."""
    first, second = make(), make()
    permit = second.admission.admit(2, Caller(BOB, request_id="req_1"))
    permit.describe(lambda: "writes")
    assert first.owners() == []
    second.service.follow_orders()
    own, other = first.service.states()
    assert own.id == first.service.id
    assert other.health["turns"]["running"] == 2
    (row,) = other.requests
    assert (row.owner, row.activity, row.request_id) == ("bob", "writes", "req_1")
    second.service.close()
    assert first.owners() == []


def test_nobody_looks(make, tmp_path):
    """While nobody looks, a worker writes nothing."""
    worker = make()
    worker.admission.admit(1, Caller(BOB))
    worker.service.follow_orders()
    assert list(worker.store.states()) == []


def test_one_worker(make, tmp_path):
    """A worker that is alone has no use for the store."""
    worker = make(is_alone=True)
    worker.admission.admit(1, Caller(BOB))
    worker.service.start()
    assert worker.owners() == [("bob", False)]
    assert not worker.service.stop("another", 1, EVE)
    assert not (tmp_path / "usage.db").exists()


@pytest.mark.parametrize(("by", "may"), [(EVE, True), (BOB, True), (ANN, False)])
def test_stop(make, by, may):
    """Admins stop turns of any worker, and callers their own; another's seems not to exist."""
    first, second = make(), make()
    permit = second.admission.admit(1, Caller(BOB))
    first.service.states()
    second.service.follow_orders()
    number = second.admission.requests()[0].number
    assert first.service.stop(second.service.id, number, by) is may
    assert first.owners() == [("bob", may)]
    permit.check()
    second.service.follow_orders()
    if may:
        with pytest.raises(TurnStopped, match=f"{by.name} has stopped this turn"):
            permit.check()
    else:
        permit.check()


def test_stop_all(make):
    """All requests of one key are stopped, in every worker, and counted until they have left."""
    first, second = make(), make()
    permits = [worker.admission.admit(1, Caller(BOB)) for worker in (first, second)]
    others = second.admission.admit(1, Caller(ANN))
    first.service.states()
    second.service.follow_orders()
    assert first.service.stop_all("bob", EVE) == 2
    second.service.follow_orders()
    for permit in permits:
        with pytest.raises(TurnStopped):
            permit.check()
        permit()
    others.check()
    second.service.follow_orders()
    assert first.service.stop_all("bob", EVE) == 0


def test_stop_all_without_the_store(make, monkeypatch):
    """Where other workers cannot be seen, nobody says that they run nothing."""
    worker = make()
    worker.service.stop_all("bob", EVE)

    def fail():
        raise StoreFailed("USAGE_DB: it is away")

    monkeypatch.setattr(worker.store, "states", fail)
    with pytest.raises(Unavailable, match="USAGE_DB: it is away"):
        worker.service.stop_all("bob", EVE)


@pytest.mark.parametrize("forged", [BOB, ANN])
def test_owner_is_checked_twice(make, forged):
    """The worker that runs a turn checks who stops it, whatever the store says."""
    first, second = make(), make()
    permit = second.admission.admit(1, Caller(EVE))
    number = second.admission.requests()[0].number
    first.store.stop(Stop(second.service.id, number, forged.name, admin=False))
    second.service.follow_orders()
    permit.check()


def test_no_such_turn(make):
    """What no worker runs cannot be stopped."""
    first, second = make(), make()
    first.service.states()
    second.service.follow_orders()
    for worker in (first.service.id, second.service.id, "none"):
        assert not first.service.stop(worker, 99, EVE)


def test_unreadable_state(make):
    """A state that another version has written is left out."""
    worker = make()
    for number, text in enumerate(("", "[]", "{}", '{"machine": {}, "requests": [1]}')):
        worker.store.put(str(number), text)
    assert len(worker.service.states()) == 1


def test_encoding(make):
    """A state that is stored is the same when it is read."""
    worker = make()
    worker.admission.admit(1, Caller(BOB))
    (state,) = worker.service.states()
    assert decode(encode(state)) == state
    with pytest.raises(ValueError, match="no worker's state"):
        decode(encode(replace(state, health={})).replace("pid", "p"))


def test_store_fails(make, tmp_path, caplog):
    """Where the store fails, a worker shows itself, and says once why there are no others."""
    worker = make()
    worker.admission.admit(1, Caller(BOB))
    (tmp_path / "usage.db").mkdir()
    for _ in range(2):
        assert worker.owners() == [("bob", False)]
        worker.service.follow_orders()
    assert "USAGE_DB" in worker.service.failure
    assert len(records_of(caplog, Workers)) == 1
    with pytest.raises(Unavailable, match="USAGE_DB"):
        worker.service.stop("another", 1, EVE)
    (tmp_path / "usage.db").rmdir()
    worker.service.states()
    assert worker.service.failure == ""


@pytest.mark.parametrize(
    ("settings", "workers", "is_alone"),
    [
        ({}, 1, True),
        ({}, 2, False),
        ({"redis_url": "redis://127.0.0.1:1/0"}, 1, False),
        ({"session_store": "redis://127.0.0.1:1/0"}, 1, False),
    ],
)
def test_who_is_alone(settings, workers, is_alone):
    """A server's only worker is alone, unless gateways of other machines may share its Redis."""
    lifecycle = Lifecycle()
    make = partial(open_workers, admission=Admission(1), health=dict, lifecycle=lifecycle)
    opened = make(Settings(**settings))
    lifecycle.workers = workers
    assert opened._is_alone() is is_alone
