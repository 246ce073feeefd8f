"""The stores of deliveries: one contract for SQLite and Redis."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from redis import Redis

from wrapper.services.store_health import StoreFailed
from wrapper.services.webhooks.event import new_delivery
from wrapper.services.webhooks.redis_store import RedisDeliveryStore
from wrapper.services.webhooks.sqlite_store import REMOVE_OLD, SqliteDeliveryStore

pytestmark = pytest.mark.packages

NOW = 1_800_000_000.25


@pytest.fixture(params=["sqlite", "redis"])
def opened(request, tmp_path):
    """Return a function that opens the store as another worker does."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        with Redis.from_url(server.url) as client:
            client.flushall()
        make: Any = partial(RedisDeliveryStore, server.url)
    else:
        make = partial(SqliteDeliveryStore, str(tmp_path / "usage.db"))
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


def delivery(name="a", recipient="alice", created=NOW):
    return new_delivery(recipient, "approval.waiting", {"id": name, "text": "é\0'%"}, name, created)


def add(store, *deliveries):
    store.add(deliveries, 0)


def test_every_field(opened):
    """Another worker reads a delivery as it was added and recorded."""
    added = delivery()
    add(opened(), added)
    assert opened().find(None, "", 10) == [added]
    assert opened().due() == {"alice": NOW}
    (claimed,) = opened().claim("alice", NOW, NOW + 30, 10)
    assert claimed == replace(added, due=NOW + 30, attempts=1, lease=claimed.lease)
    failed = replace(claimed, due=NOW + 2, last_status=503, last_error="it answered with 503")
    opened().record(failed)
    assert opened().find(None, "", 10) == [replace(failed, lease="")]


def test_an_occurrence_is_added_once(opened):
    """The same occurrence is added once, even if it has been delivered."""
    for store in (opened(), opened()):
        add(store, delivery(), delivery(created=NOW + 5))
    (claimed,) = store.claim("alice", NOW, NOW + 30, 10)
    store.record(replace(claimed, status="delivered", due=None, body=""))
    add(store, delivery())
    assert [each.status for each in store.find(None, "", 10)] == ["delivered"]
    assert store.due() == {}


def test_what_is_old_is_searched(tmp_path):
    """SQLite finds old deliveries by an index, as each one added looks for them."""
    path = tmp_path / "usage.db"
    with closing(SqliteDeliveryStore(str(path))) as store:
        add(store, delivery())
    with closing(sqlite3.connect(path)) as connection:
        (step,) = connection.execute(f"EXPLAIN QUERY PLAN {REMOVE_OLD}", (NOW,)).fetchall()
    assert step[-1].startswith("SEARCH")


def test_claims_exclude_each_other(opened):
    """A delivery is claimed by one worker, and by another one once the lease is over."""
    first, second = opened(), opened()
    add(first, *(delivery(str(number)) for number in range(5)))
    ours = first.claim("alice", NOW, NOW + 30, 2)
    theirs = second.claim("alice", NOW, NOW + 30, 9)
    assert (len(ours), len(theirs)) == (2, 3)
    assert not {each.id for each in ours} & {each.id for each in theirs}
    assert second.claim("alice", NOW + 29, NOW + 59, 9) == []
    again = second.claim("alice", NOW + 30, NOW + 60, 9)
    assert {each.attempts for each in again} == {2}
    first.record(replace(ours[0], status="failed", due=None))  # too late, as its lease has passed
    assert {each.status for each in second.find(None, "", 9)} == {"pending"}


def test_not_due(store):
    """What is not due yet, or another recipient's, is not claimed."""
    add(store, delivery("a", created=NOW + 9), delivery("b", "bob"))
    assert store.claim("alice", NOW, NOW + 30, 9) == []
    assert store.due() == {"alice": NOW + 9, "bob": NOW}
    assert [each.recipient for each in store.claim("bob", NOW, NOW + 30, 9)] == ["bob"]


def test_pages(store):
    """The newest come first, of all or of one recipient, from after an id on."""
    added = [delivery(str(n), ("alice", "bob")[n % 2], NOW + n) for n in range(6)]
    add(store, *added)
    newest = [each.id for each in reversed(added)]
    assert [each.id for each in store.find(None, "", 4)] == newest[:4]
    assert [each.id for each in store.find(None, newest[3], 4)] == newest[4:]
    assert [each.id for each in store.find("bob", newest[2], 1)] == [newest[4]]
    with pytest.raises(KeyError):
        store.find("alice", newest[0], 4)
    with pytest.raises(KeyError):
        store.find(None, "evt_unknown", 4)


def test_bounds(opened):
    """Old deliveries are removed, and the oldest of a recipient that has too many."""
    store = opened(most=2)
    add(store, delivery("old", "bob", NOW - 50))
    store.add([delivery(str(n), created=NOW + n) for n in range(3)], NOW - 40)
    assert [each.created for each in store.find(None, "", 9)] == [NOW + 2, NOW + 1]
    assert len(store.claim("alice", NOW + 9, NOW + 30, 9)) == 2


def test_delete_all(opened):
    """All deliveries to one recipient are gone, also those above the bound; others stay."""
    store = opened(most=1)
    other = delivery("c", "bob")
    add(store, delivery("a"))
    add(store, delivery("b"), other)
    assert store.delete_all("alice") >= 1
    assert store.delete_all("alice") == 0
    assert opened().find(None, "", 10) == [other]
    assert opened().due() == {"bob": NOW}
    assert opened().claim("alice", NOW, NOW + 30, 10) == []
    add(store, delivery("a"))
    assert len(opened().find("alice", "", 10)) == 1


def test_failures(tmp_path):
    """What goes wrong says which setting names the store, and what to do."""
    (tmp_path / "file").touch()
    for store, setting in (
        (SqliteDeliveryStore(str(tmp_path / "file" / "usage.db")), "USAGE_DB"),
        (RedisDeliveryStore("redis://127.0.0.1:1/0"), "REDIS_URL"),
    ):
        with pytest.raises(StoreFailed, match=setting):
            store.due()
        store.close()
