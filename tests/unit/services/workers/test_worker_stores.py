"""The stores that workers share: one contract for SQLite and Redis."""

from __future__ import annotations

import uuid

import pytest

from wrapper.services.store_health import StoreFailed
from wrapper.services.workers.redis_store import RedisWorkerStore
from wrapper.services.workers.sqlite_store import SqliteWorkerStore
from wrapper.services.workers.store import LIFE, Stop, WorkerStore

pytestmark = pytest.mark.packages

STOP = Stop("w1", 7, "eve", admin=True)


@pytest.fixture(params=["sqlite", "redis"])
def opened(request, tmp_path, clock):
    """Return a function that opens the store as another worker does."""
    prefix = f"test:{uuid.uuid4().hex}"
    stores: list[WorkerStore] = []

    def open_another() -> WorkerStore:
        stores.append(
            RedisWorkerStore(request.getfixturevalue("redis_server").url, "X", prefix=prefix)
            if request.param == "redis"
            else SqliteWorkerStore(str(tmp_path / "usage.db"), clock=clock)
        )
        return stores[-1]

    yield open_another
    for store in stores:
        store.close()


def test_states(opened):
    """Each worker has one state, the last that it wrote, until it removes it."""
    first, second = opened(), opened()
    assert list(first.states()) == []
    first.put("w1", "a")
    second.put("w2", "ü")
    first.put("w1", "b")
    assert sorted(second.states()) == ["b", "ü"]
    first.remove("w1")
    assert list(second.states()) == ["ü"]


def test_wanted(opened):
    """All workers learn that somebody looks, which is no worker's state."""
    first, second = opened(), opened()
    assert not first.take_orders("w1").is_wanted
    second.want()
    assert first.take_orders("w1").is_wanted
    assert second.take_orders("w2").is_wanted
    assert list(first.states()) == []


def test_stops(opened):
    """A stop is seen until its worker takes it, once; no other worker does."""
    first, second = opened(), opened()
    first.put("w1", "a")
    second.stop(STOP)
    second.stop(Stop("w1", 7, "eve", admin=True))
    assert list(first.stops()) == [STOP]
    assert list(second.take_orders("w2").stops) == []
    assert list(first.take_orders("w1").stops) == [STOP]
    assert list(first.take_orders("w1").stops) == list(second.stops()) == []


def test_killed_worker(tmp_path, clock):
    """What a killed worker has left is gone soon, from the file also."""
    store = SqliteWorkerStore(str(tmp_path / "usage.db"), clock=clock)
    store.want()
    store.put("w1", "of the killed one")
    store.stop(STOP)
    clock.now = LIFE
    orders = store.take_orders("w1")
    assert (orders.is_wanted, list(orders.stops)) == (False, [])
    assert (list(store.states()), list(store.stops())) == ([], [])
    store.put("w2", "b")
    with store._file.opened() as connection:
        rows = connection.execute("SELECT worker FROM worker_states").fetchall()
        assert rows == [("w2",)]
        assert connection.execute("SELECT COUNT(*) FROM worker_stops").fetchone() == (0,)
    store.close()


def test_nothing_stays_in_redis(redis_server):
    """Whatever is in Redis expires by itself."""
    store = RedisWorkerStore(redis_server.url, "REDIS_URL", prefix=f"test:{uuid.uuid4().hex}")
    store.want()
    store.put("w1", "a")
    store.stop(STOP)
    with store._redis.reached() as client:
        keys = list(client.scan_iter(f"{store._prefix}:*"))
        assert len(keys) == 4
        assert all(0 < client.pttl(key) <= LIFE * 1000 for key in keys)
    store.close()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_failure(kind, tmp_path):
    """A store that cannot be used says why."""
    (tmp_path / "usage.db").mkdir()
    store = (
        RedisWorkerStore("redis://127.0.0.1:1/0", "REDIS_URL")
        if kind == "redis"
        else SqliteWorkerStore(str(tmp_path / "usage.db"))
    )
    for use in (store.want, store.states, store.stops):
        with pytest.raises(StoreFailed, match=r"REDIS_URL|USAGE_DB"):
            use()
    store.close()
