"""The queues of jobs: the highest priority comes first, and each message to one worker."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.job_stores import RedisKind, SqliteKind
from wrapper.errors import Unavailable
from wrapper.services.jobs import queue

SECONDS = 30.0


@pytest.fixture(params=["sqlite", "redis"])
def kind(request, tmp_path, monkeypatch):
    """Return a kind of queue, whose time the test sets."""
    monkeypatch.setattr(queue, "WAIT", 0.05)
    if request.param == "sqlite":
        made: SqliteKind | RedisKind = SqliteKind(tmp_path)
    else:
        made = RedisKind(request.getfixturevalue("redis_server").url)
    yield made
    made.close()


def test_order(kind):
    """The job with the highest priority is taken first, and of equals the one that came first."""
    jobs = kind.open_queue()
    for id_, priority in (("a", -2.0), ("b", -1.0), ("c", -1e12), ("d", -1.0)):
        jobs.put(id_, priority)
    assert (jobs.size(), jobs.ids()) == (4, {"a", "b", "c", "d"})
    assert [jobs.take() for _ in range(5)] == ["b", "d", "a", "c", None]
    assert (jobs.size(), jobs.ids()) == (0, set())


def test_later(kind):
    """A job that is put off is taken once its time has come, by its priority."""
    jobs = kind.open_queue()
    jobs.put("later", -1.0, after=10)
    jobs.put("now", -5.0)
    assert (jobs.size(), jobs.ids()) == (2, {"later", "now"})
    kind.advance(9)
    assert jobs.take() == "now"
    assert jobs.take() is None
    jobs.put("other", -5.0)
    kind.advance(2)
    assert kind.open_queue().take() == "later"
    assert jobs.take() == "other"


def test_once(kind):
    """Many workers that take at once get each job once."""
    kind.open_queue().put("job_0", -0.0)
    for number in range(1, 20):
        kind.open_queue().put(f"job_{number}", -float(number))
    queues = [kind.open_queue() for _ in range(4)]

    def take_all(jobs):
        return [*iter(jobs.take, None)]

    with ThreadPoolExecutor(4) as pool:
        taken = [id_ for ids in pool.map(take_all, queues) for id_ in ids]
    assert sorted(taken) == sorted(f"job_{number}" for number in range(20))


def test_wakes(kind, monkeypatch):
    """A worker that waits gets a job of its own process as soon as it is there."""
    monkeypatch.setattr(queue, "WAIT", SECONDS if isinstance(kind, SqliteKind) else 1.0)
    jobs = kind.open_queue()
    taken: list[str] = []

    def take():
        while not taken:
            if id_ := jobs.take():
                taken.append(id_)

    thread = threading.Thread(target=take)
    thread.start()
    jobs.put("job_1", 0.0)
    thread.join(SECONDS / 2)
    assert taken == ["job_1"]


def test_replaced_file(tmp_path):
    """A file that was removed is made anew, for its owner alone."""
    kind = SqliteKind(tmp_path)
    jobs = kind.open_queue()
    jobs.put("lost", 0.0)
    for file in tmp_path.iterdir():
        file.unlink()
    jobs.put("job_1", 0.0)
    assert jobs.ids() == {"job_1"}
    assert (tmp_path / "jobs.db").stat().st_mode & 0o777 == 0o600
    kind.close()


def test_unusable(tmp_path):
    """A queue that cannot be used says why and what to do."""
    (tmp_path / "jobs.db").mkdir()
    for kind in (SqliteKind(tmp_path), RedisKind("redis://127.0.0.1:1/0")):
        with pytest.raises(Unavailable, match=r"JOBS_DB: |SESSION_STORE: Redis cannot be reached"):
            kind.open_queue().put("job_1", 0.0)
        kind.close()
