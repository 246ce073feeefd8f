"""The stores of finished requests: one contract for SQLite and Redis."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from redis import Redis

from wrapper.services.requests.redis_store import RedisRequestStore
from wrapper.services.requests.request import FinishedRequest, Latency, RequestQuery
from wrapper.services.requests.sqlite_store import SqliteRequestStore
from wrapper.services.store_health import StoreFailed
from wrapper.services.usage.store import Amounts

pytestmark = pytest.mark.packages

DAY = "2026-11-26"
REQUEST: Any = FinishedRequest(
    id="req-1",
    key="alice",
    model="claude-sonnet",
    session="s-1",
    outcome="done",
    day=DAY,
    began=time.time(),
    amounts=Amounts(1, 2, 3, 4, 5, 6, 7, 8),
    details={"first_token_ms": 120, "total_ms": 900, "tools": {"Read": [1, 0, 0, 20]}},
)
ALL = RequestQuery("2026-11-01", "2026-11-30")
# Text that means something to SQL, to patterns, or to a page.
ODD = ("%", "_", "*", "' OR 1=1 --", '"', "<b>", "\x00", "é", "")


@pytest.fixture(params=["sqlite", "redis"])
def opened(request, tmp_path):
    """Return a function that opens the store as another worker does."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        with Redis.from_url(server.url) as client:
            client.flushall()
        make: Any = partial(RedisRequestStore, server.url)
    else:
        make = partial(SqliteRequestStore, str(tmp_path / "usage.db"))
    stores = []

    def open_another(**options):
        stores.append(make(**options))
        return stores[-1]

    yield open_another
    for store in stores:
        store.close()


@pytest.fixture
def store(opened):
    return opened()


def ids(store, query=ALL, before="", limit=100):
    return [request.id for request in store.find(query, before, limit)]


def numbered(*numbers, **changes):
    return [replace(REQUEST, id=f"req-{number}", **changes) for number in numbers]


def test_every_field(opened):
    """Another worker reads a request as it was stored."""
    opened().append([REQUEST], 0)
    (found,) = opened().find(ALL, "", 10)
    assert found.position
    assert replace(found, position="") == REQUEST


def test_pages(store):
    """Requests come in pages, the last one first, each after the position of the one before."""
    store.append(numbered(*range(4)), 0)
    store.append(numbered(*range(4, 1200)), 0)  # more than are read from Redis at once
    seen, before = [], ""
    while page := store.find(ALL, before, 250):
        seen += [request.id for request in page]
        before = page[-1].position
    assert seen == [f"req-{number}" for number in reversed(range(1200))]


def test_filters(store):
    """Each part of a query narrows what is found, and what it sums."""
    store.append(
        [
            REQUEST,
            replace(REQUEST, id="req-2", key="bob", session="s-2", outcome="overloaded"),
            replace(REQUEST, id="req-3", model="claude-haiku", outcome="client_gone"),
            replace(REQUEST, id="req-4", day="2026-12-01"),
        ],
        0,
    )
    for changes, expected in (
        ({"key": "alice"}, ["req-3", "req-1"]),
        ({"key": "carol"}, []),
        ({"model": "haiku"}, ["req-3"]),
        ({"id": "s-2"}, ["req-2"]),
        ({"id": "req-1"}, ["req-1"]),
        ({"outcome": "done"}, ["req-1"]),
        ({"outcome": "failed"}, ["req-2"]),
        ({"outcome": "client_gone"}, ["req-3"]),
        ({"last": "2026-12-01"}, ["req-4", "req-3", "req-2", "req-1"]),
        ({"key": "alice", "model": "sonnet", "outcome": "failed"}, []),
    ):
        query = replace(ALL, **changes)
        assert ids(store, query) == expected, changes
        number, amounts = store.total(query)
        assert (number, amounts.requests) == (len(expected), len(expected))


@pytest.mark.parametrize("field", ["key", "model", "id", "outcome"])
def test_odd_values(store, field):
    """Odd values are found as they are, and match nothing else."""
    store.append([REQUEST], 0)
    for text in filter(None, ODD):
        assert ids(store, replace(ALL, **{field: text})) == [], text
        store.append([replace(REQUEST, **{field: text})], 0)
        (found,) = store.find(replace(ALL, **{field: text}), "", 10)
        assert getattr(found, field) == text


def test_total(store):
    """The sum is of every amount, and of nothing it is zero."""
    assert store.total(ALL) == (0, Amounts())
    store.append([REQUEST, replace(REQUEST, amounts=Amounts(nanos=2**52))], 0)
    assert store.total(ALL) == (2, REQUEST.amounts + Amounts(nanos=2**52))


def test_latencies(store):
    """Latencies are those of answered requests: neither of failed ones nor of those left."""
    store.append(
        [
            REQUEST,
            replace(REQUEST, outcome="overloaded"),
            replace(REQUEST, outcome="client_gone"),
            replace(REQUEST, details={"total_ms": 3}),  # a repeated answer
            replace(REQUEST, key="bob"),
        ],
        0,
    )
    latency = Latency(DAY, "claude-sonnet", 120, 900)
    assert store.latencies(replace(ALL, key="alice")) == [latency]
    assert store.latencies(ALL) == [latency, latency]


def test_most(opened):
    """Of too many requests, the first ones go."""
    store = opened(most=3)
    store.append(numbered(1, 2), 0)
    store.append(numbered(3, 4, 5), 0)
    assert ids(store) == ["req-5", "req-4", "req-3"]


def test_oldest(store):
    """Requests that are too old go with the next batch, even if that is empty."""
    store.append(numbered(1, began=time.time()), 0)
    later = time.time() + 0.002
    while time.time() <= later + 0.002:
        pass
    store.append(numbered(2, began=time.time()), later)
    assert ids(store) == ["req-2"]
    store.append([], time.time() + 60)
    assert ids(store) == []
    store.append(numbered(3), 0)
    assert ids(store) == ["req-3"]


def test_at_once(opened):
    """Of workers that append at the same time, nothing is lost."""
    stores = [opened(), opened()]
    with ThreadPoolExecutor(4) as threads:
        for number in range(20):
            threads.submit(stores[number % 2].append, numbered(number), 0)
    assert len(set(ids(stores[0]))) == 20


def test_store_away(tmp_path):
    """A store that cannot be reached says why."""
    (tmp_path / "usage.db").write_text("hello" * 1000)
    redis, sqlite = (
        RedisRequestStore("redis://127.0.0.1:1/0"),
        SqliteRequestStore(str(tmp_path / "usage.db")),
    )
    for store, why in ((redis, "Redis cannot be reached"), (sqlite, "move the file away")):
        for use in (partial(store.append, [REQUEST], 0), partial(store.total, ALL)):
            with pytest.raises(StoreFailed, match=why):
                use()
