"""What the stores of batches promise, in both kinds of them."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager

import pytest
from redis import Redis

from wrapper.services.batches import redis_store, sqlite_store
from wrapper.services.batches.batch import BatchState, BatchStatus, LineResult
from wrapper.services.batches.redis_store import RedisBatchStore
from wrapper.services.batches.sqlite_store import SqliteBatchStore
from wrapper.services.batches.store import BatchStore

DAY = 86_400
BATCH = "batch_1"
FACTS = {"status": "in_progress", "errors": [{"code": None}], "paused": None}


@pytest.fixture(params=["sqlite", "redis"])
def store(request, tmp_path):
    """A store with a batch of four lines, of which the second one was refused."""
    store: BatchStore
    if request.param == "sqlite":
        store = SqliteBatchStore(str(tmp_path / "jobs.db"))
    else:
        prefix = f"test-{uuid.uuid4().hex}"
        url = request.getfixturevalue("redis_server").url
        store = RedisBatchStore(url, prefix)
    store.create(BATCH, time.time() + DAY)
    store.refuse(BATCH, [LineResult(1, False, b"refused")])
    store.begin(BATCH, b"index", 4, 1, FACTS)
    yield store
    store.close()
    if request.param == "redis":
        with Redis.from_url(url) as client:
            keys = list(client.scan_iter(f"{prefix}:*"))
            assert all(0 < client.ttl(key) <= DAY for key in keys)
            if keys:
                client.delete(*keys)


def test_state(store):
    """A state has its numbers, and the facts as they were changed last."""
    assert store.read("batch_2") is None
    assert store.index("batch_2") == b""
    store.create("batch_2", time.time() + DAY)
    assert store.read("batch_2") == BatchState()
    assert store.read("batch_2").status is BatchStatus.VALIDATING
    store.change(BATCH, {"paused": {"since": 1}, "output_file_id": "file-1"})
    facts = {**FACTS, "paused": {"since": 1}, "output_file_id": "file-1"}
    assert store.read(BATCH) == BatchState(4, 0, 0, 1, facts)
    assert store.index(BATCH) == b"index"


def test_begin(store):
    """A batch begins once: a second validation by another worker resets no count."""
    store.claim(BATCH, "one")
    store.finish(BATCH, "one", LineResult(0, False, b"failed"))
    store.refuse(BATCH, [LineResult(3, False, b"late")])
    store.begin(BATCH, b"other", 9, 1, {"status": "validating"})
    assert store.read(BATCH) == BatchState(4, 1, 0, 2, FACTS)
    assert (store.index(BATCH), len(store.results(BATCH, 0, 9)[0])) == (b"index", 2)


def test_delete(store):
    """Nothing is left of a batch that could not begin."""
    store.create("batch_2", time.time() + DAY)
    store.delete("batch_2")
    assert store.read("batch_2") is None
    assert store.read(BATCH)


def test_claims(store):
    """Each line that can run is given to one worker, those that were released first."""
    assert store.claim("batch_2", "one") is None
    assert [store.claim(BATCH, "one"), store.claim(BATCH, "two")] == [0, 2]
    assert sorted(store.running(BATCH)) == [(0, "one"), (2, "two")]
    store.release(BATCH, 0)
    store.release(BATCH, 1)
    assert store.running(BATCH) == [(2, "two")]
    assert [store.claim(BATCH, "two") for _ in range(4)] == [0, 3, None, None]
    assert store.read(BATCH).claimed == 4


def test_lines_that_wait(store):
    """The lines that nobody has claimed are counted over several batches, unknown ones as none."""
    store.create("batch_2", time.time() + DAY)
    store.begin("batch_2", b"index", 2, 0, FACTS)
    store.claim(BATCH, "one")
    assert store.lines_waiting([BATCH, "batch_2", "batch_3"]) == 3 + 2
    assert store.lines_waiting([]) == 0


def test_results(store):
    """The first result of a line's own worker is kept, and counts."""
    store.claim(BATCH, "one")
    store.claim(BATCH, "one")
    assert not store.finish(BATCH, "two", LineResult(0, True, b"no"))
    assert store.finish(BATCH, "one", LineResult(0, True, b"yes"))
    assert not store.finish(BATCH, "one", LineResult(0, False, b"no"))
    assert store.finish(BATCH, "one", LineResult(2, False, b""))
    assert not store.finish(BATCH, "one", LineResult(3, True, b"unclaimed"))
    store.release(BATCH, 0)
    assert store.claim(BATCH, "two") == 3
    expected = [
        LineResult(0, True, b"yes"),
        LineResult(1, False, b"refused"),
        LineResult(2, False, b""),
    ]
    assert store.results(BATCH, 0, 10) == (expected, 10)
    assert store.results(BATCH, 1, 1) == (expected[1:2], 2)
    state = store.read(BATCH)
    assert (state.completed, state.failed, state.done) == (1, 2, 3)


def test_large_results(store, monkeypatch):
    """Few large results are read at once, and each of them, whatever its size."""
    for module in (sqlite_store, redis_store):
        monkeypatch.setattr(module, "PAGE_BYTES", 10)
    for number, size in ((0, 8), (2, 100), (3, 1)):
        store.claim(BATCH, "one")
        store.finish(BATCH, "one", LineResult(number, True, b"x" * size))
    read, stop = [], 0
    while stop < 4:
        results, stop = store.results(BATCH, stop, 4 - stop)
        read.append([line.number for line in results])
    assert read == [[0, 1], [2], [3]]


def test_who_writes_the_results(store):
    """Only one can take over from another."""
    assert store.finalizer(BATCH) == ""
    assert store.take_over(BATCH, "", "one")
    assert not store.take_over(BATCH, "", "two")
    assert store.take_over(BATCH, "one", "two")
    assert store.finalizer(BATCH) == "two"


def test_what_is_forgotten(store):
    """A batch that has ended keeps its state, but none of its lines."""
    store.claim(BATCH, "one")
    store.clear(BATCH)
    assert store.results(BATCH, 0, 10)[0] == []
    assert (store.running(BATCH), store.index(BATCH)) == ([], b"")
    assert store.read(BATCH).total == 4
    store.forget(time.time())
    assert store.read(BATCH)


def test_when_a_batch_is_forgotten(tmp_path):
    """In SQLite, a batch and its lines are gone once their time is over; Redis does so itself."""
    store = SqliteBatchStore(str(tmp_path / "jobs.db"))
    store.create(BATCH, 100.0)
    store.refuse(BATCH, [LineResult(0, False, b"")])
    store.begin(BATCH, b"", 2, 1, {})
    store.forget(99.0)
    assert store.read(BATCH)
    store.forget(100.0)
    assert store.read(BATCH) is None
    assert store.results(BATCH, 0, 10)[0] == []
    store.close()


def test_deletion_of_many_lines(tmp_path, monkeypatch):
    """The lines of a batch are deleted in parts, as nobody else can write meanwhile."""
    monkeypatch.setattr(sqlite_store, "CLEARED_AT_ONCE", 10)
    store = SqliteBatchStore(str(tmp_path / "jobs.db"))
    changing, left = store._file.changing, []

    @contextmanager
    def count():
        with changing() as connection:
            left.append(connection.execute("SELECT count(*) FROM batch_lines").fetchone()[0])
            yield connection

    for forgotten in (True, False):
        store.create(BATCH, 100.0)
        store.refuse(BATCH, [LineResult(number, False, b"") for number in range(50)])
        monkeypatch.setattr(store._file, "changing", count)
        store.forget(100.0) if forgotten else store.delete(BATCH)
        monkeypatch.undo()
        assert store.read(BATCH) is None
    assert left == [0, 0]
    store.close()


def test_room(tmp_path):
    """The room that the lines of a batch took on the disk is free once they are cleared."""
    path = tmp_path / "jobs.db"
    store = SqliteBatchStore(str(path))
    store.create(BATCH, time.time() + DAY)
    store.refuse(BATCH, [LineResult(number, False, bytes(5000)) for number in range(300)])
    store.begin(BATCH, b"index", 300, 300, FACTS)
    store.clear(BATCH)
    store.close()
    assert path.stat().st_size < 300_000
