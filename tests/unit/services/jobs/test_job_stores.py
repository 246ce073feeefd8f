"""The stores of jobs: each step is taken once, and owners take turns."""

from __future__ import annotations

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.job_stores import START, RedisKind, SqliteKind
from tests.support.log_records import records_of
from wrapper.errors import Unavailable
from wrapper.services.jobs.job import Job, JobContent, JobStatus
from wrapper.services.jobs.sqlite_store import SqliteJobStore
from wrapper.services.jobs.store import UNREPORTED_TTL, Counts, Room
from wrapper.services.store_health import StoreHealth

ERROR = {"message": "No.", "type": "server_error", "param": None, "code": "no"}
MOST = Room(100, 1000)
CONTENT = JobContent(b'{"a":1}', b"{}")


@pytest.fixture(params=["sqlite", "redis"])
def kind(request, tmp_path):
    """Return a kind of store, whose time the test sets."""
    if request.param == "sqlite":
        made: SqliteKind | RedisKind = SqliteKind(tmp_path)
    else:
        made = RedisKind(request.getfixturevalue("redis_server").url)
    yield made
    made.close()


@pytest.fixture
def store(kind):
    return kind.open()


def job(id_="resp_1", owner="alice", **values):
    made = {"kind": "response", "ttl": 60, "created_at": START, **values}
    return Job(id_, owner=owner, **made)


def begin(store, id_="resp_1", worker="w1", seconds=15.0):
    return store.begin(id_, worker, START + seconds)


def next_ids(store):
    """Return the ids of the jobs that wait, in the order in which they will run."""
    waiting = store.waiting()
    return sorted(waiting, key=lambda id_: -waiting[id_])


def test_life(store):
    """A job is queued, in progress and completed; each time it can be read."""
    asked, content = job(), JobContent(b"\x00\xff", b"\xfe")
    assert store.add(asked, content, MOST) is not None
    assert store.find("resp_1").job == asked
    assert store.find("resp_1").state.status == "queued"
    assert begin(store) == content
    view = store.find("resp_1")
    assert (view.state.status, view.state.worker, view.state.started_at) == (
        "in_progress",
        "w1",
        START,
    )
    view = store.end("resp_1", JobStatus.COMPLETED)
    assert view == store.find("resp_1")
    assert (view.state.status, view.state.ended_at, view.ended) == ("completed", START, True)
    assert view.job == asked


def test_missing(store):
    """What is not there cannot be read or changed."""
    assert store.find("resp_1") is None
    assert begin(store) is None
    assert store.put_back("resp_1") is None
    assert store.end("resp_1", JobStatus.FAILED) is None
    assert store.cancel("resp_1") is None
    assert not store.delete("resp_1")
    assert not store.alive("w1")


def test_begins_once(kind):
    """Of many workers that begin a job at once, one has it."""
    stores = [kind.open() for _ in range(4)]
    barrier = threading.Barrier(4)

    def race(number):
        stores[number].find("resp_1")
        barrier.wait()
        return begin(stores[number], worker=f"w{number}") is not None

    stores[0].add(job(), CONTENT, MOST)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(race, range(4))) == 1


def test_ends_once(store):
    """Only the first end of a job counts."""
    store.add(job(), CONTENT, MOST)
    begin(store)
    assert store.end("resp_1", JobStatus.FAILED, ERROR).state.error == ERROR
    assert store.end("resp_1", JobStatus.COMPLETED) is None
    assert store.cancel("resp_1") is None
    assert begin(store) is None
    assert store.find("resp_1").state.status == "failed"


def test_cancel(store):
    """A queued job is cancelled at once; one in progress is asked to end."""
    store.add(job(), CONTENT, MOST)
    assert store.cancel("resp_1").state.status == "cancelled"
    assert begin(store) is None
    store.add(job("resp_2"), CONTENT, MOST)
    begin(store, "resp_2")
    assert store.stopped(["resp_2"]) == set()
    view = store.cancel("resp_2")
    assert (view.state.status, view.state.cancel_requested, view.ended) == (
        "in_progress",
        True,
        False,
    )
    assert store.cancel("resp_2") is None
    assert store.stopped(["resp_2"]) == {"resp_2"}


def test_stopped(store):
    """The runs of jobs that have ended or are deleted are to end."""
    for id_ in ("resp_1", "resp_2", "resp_3"):
        store.add(job(id_), CONTENT, MOST)
        begin(store, id_)
    store.end("resp_1", JobStatus.FAILED)
    assert store.delete("resp_2")
    assert store.find("resp_2") is None
    assert store.stopped(["resp_1", "resp_2", "resp_3"]) == {"resp_1", "resp_2"}


def test_put_back(store):
    """A job that is put back can begin again; as queued, unless it resumes."""
    store.add(job(), CONTENT, MOST)
    store.add(job("batch_1", kind="batch", resumes=True), CONTENT, MOST)
    for id_, status in (("resp_1", "queued"), ("batch_1", "in_progress")):
        begin(store, id_)
        assert store.put_back(id_) is not None
        assert store.put_back(id_) is None
        assert store.find(id_).state.status == status
        assert begin(store, id_, "w2") == CONTENT
        assert store.find(id_).state.worker == "w2"


def test_cancel_between_runs(store):
    """A job that resumes and waits for its next run is asked to end, and begins once more."""
    store.add(job("batch_1", resumes=True), CONTENT, MOST)
    begin(store, "batch_1")
    store.put_back("batch_1")
    view = store.cancel("batch_1")
    assert (view.ended, view.state.cancel_requested) == (False, True)
    assert view.priority is not None
    assert begin(store, "batch_1")
    assert store.find("batch_1").state.cancel_requested


def test_most(store):
    """No more of an owner's jobs are kept than allowed, in any state; others do not count."""
    for id_ in ("ends", "runs", "waits"):
        assert store.add(job(id_), CONTENT, Room(3, 100)) is not None
    begin(store, "ends")
    store.end("ends", JobStatus.COMPLETED)
    begin(store, "runs")
    assert store.add(job("more"), CONTENT, Room(3, 100)) is None
    assert store.find("more") is None
    assert store.add(job("other", owner="bob"), CONTENT, Room(3, 100)) is not None


def test_create_and_cancel(store):
    """Jobs that are cancelled before they begin count until they are deleted."""
    for number in range(2):
        store.add(job(f"resp_{number}"), CONTENT, Room(2, 100))
        store.cancel(f"resp_{number}")
    assert store.add(job("more"), CONTENT, Room(2, 100)) is None
    store.delete("resp_0")
    assert store.add(job("more"), CONTENT, Room(2, 100)) is not None


def test_room_after_expiry(kind):
    """Jobs that have expired leave room for others."""
    store = kind.open()
    store.add(job(ttl=60), CONTENT, Room(1, 100))
    store.cancel("resp_1")
    kind.advance(61)
    assert store.add(job("resp_2"), CONTENT, Room(1, 100)) is None
    store.expire()
    assert store.add(job("resp_2"), CONTENT, Room(1, 100)) is not None


def test_bytes(store):
    """The contents of an owner's jobs have a bound; of one that has ended, its summary counts."""
    large, room = JobContent(b"r" * 60, b"s" * 10), Room(10, 100)
    assert store.add(job(), large, room) is not None
    assert store.add(job("resp_2"), large, room) is None
    assert store.add(job("resp_2"), JobContent(b"r" * 30), room) is not None
    assert store.add(job("other", owner="bob"), large, room) is not None
    begin(store)
    assert store.add(job("resp_3"), JobContent(b"r"), room) is None
    store.end("resp_1", JobStatus.COMPLETED)
    assert store.add(job("resp_3"), JobContent(b"r" * 60), room) is not None
    assert store.add(job("resp_4"), JobContent(b"r"), room) is None
    store.delete("resp_1")
    assert store.add(job("resp_4"), JobContent(b"r" * 10), room) is not None


@pytest.mark.parametrize("how", ["end", "cancel"])
def test_request(kind, how):
    """A request is kept until its job ends, and a summary until the job is forgotten."""
    store = kind.open()
    store.add(job(ttl=60), CONTENT, MOST)
    if how == "end":
        begin(store)
        store.put_back("resp_1")
    assert (store.request("resp_1"), store.summary("resp_1")) == (CONTENT.request, CONTENT.summary)
    store.end("resp_1", JobStatus.FAILED) if how == "end" else store.cancel("resp_1")
    assert (store.request("resp_1"), store.summary("resp_1")) == (None, CONTENT.summary)
    kind.advance(61)
    store.expire()
    assert store.summary("resp_1") is None


def test_looks(store):
    """A look at a job, and a change of one, reads nothing of its content."""
    megabytes = b"x" * 4_000_000
    store.add(job(resumes=True), JobContent(megabytes, megabytes), Room(1, 10**7))
    begin(store)
    tracemalloc.start()
    try:
        assert store.find("resp_1")
        assert store.stopped(["resp_1"]) == set()
        assert store.put_back("resp_1") is not None
        assert store.cancel("resp_1")
        assert store.end("resp_1", JobStatus.FAILED)
        assert store.unreported(0)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_turns(store):
    """Owners take turns, whoever was first and however many jobs each has."""
    for number in range(4):
        store.add(job(f"a{number}"), CONTENT, MOST)
    store.add(job("b0", owner="bob"), CONTENT, MOST)
    assert next_ids(store)[:2] in (["a0", "b0"], ["b0", "a0"])
    begin(store, "a0")
    begin(store, "b0")
    begin(store, "a1")
    store.add(job("c0", owner="carol"), CONTENT, MOST)
    store.add(job("c1", owner="carol"), CONTENT, MOST)
    assert set(next_ids(store)[:2]) == {"a2", "c0"}


def test_resuming_last(store):
    """Jobs that resume come behind all others."""
    store.add(job("batch_1", resumes=True), CONTENT, MOST)
    for number in range(5):
        store.add(job(f"a{number}"), CONTENT, MOST)
    assert next_ids(store)[-1] == "batch_1"


def test_ids(store):
    """An owner's jobs are listed, the newest first."""
    for number in range(3):
        store.add(job(f"resp_{number}", created_at=START + number), CONTENT, MOST)
    store.add(job("other", owner="bob"), CONTENT, MOST)
    assert [*store.ids("alice")] == ["resp_2", "resp_1", "resp_0"]
    store.delete("resp_1")
    assert [*store.ids("alice")] == ["resp_2", "resp_0"]
    assert [*store.ids("carol")] == []


def test_unreported(kind):
    """An end is to be reported until it is marked, however the job has ended."""
    store = kind.open()
    for id_ in ("resp_1", "resp_2", "resp_3"):
        store.add(job(id_), CONTENT, MOST)
        kind.advance(1)
        store.cancel(id_) if id_ == "resp_2" else store.end(id_, JobStatus.COMPLETED)
    store.add(job("resp_4"), CONTENT, MOST)
    assert [view.job.id for view in store.unreported(1)] == ["resp_1", "resp_2"]
    assert store.unreported(0)[1] == store.find("resp_2")
    assert store.mark_reported("resp_1")
    assert not store.mark_reported("resp_1")
    assert not store.mark_reported("resp_4")
    assert [view.job.id for view in kind.open().unreported(0)] == ["resp_2", "resp_3"]


def test_unreported_are_forgotten(kind):
    """The end of a deleted job is not reported, but counts once; it is forgotten after days."""
    store = kind.open()
    for id_ in ("resp_1", "resp_2"):
        store.add(job(id_), CONTENT, MOST)
        store.cancel(id_)
        store.delete(id_)
    assert [*store.unreported(0)] == []
    assert store.mark_reported("resp_1")
    kind.advance(UNREPORTED_TTL)
    store.expire()
    assert not store.mark_reported("resp_2")


def test_orphans(kind):
    """The jobs of a worker that has not been heard of for too long are found."""
    store = kind.open()
    store.add(job(), CONTENT, MOST)
    store.add(job("resp_2"), CONTENT, MOST)
    begin(store)
    begin(store, "resp_2", "w2")
    assert store.alive("w1")
    kind.advance(10)
    store.beat("w2", START + 40)
    assert not store.orphans()
    kind.advance(10)
    assert [view.job.id for view in store.orphans()] == ["resp_1"]
    assert not store.alive("w1")
    store.beat("w2", 0)
    assert {view.job.id for view in store.orphans()} == {"resp_1", "resp_2"}
    store.end("resp_1", JobStatus.FAILED)
    assert [view.job.id for view in store.orphans()] == ["resp_2"]


def test_counts(store):
    """Jobs that have not ended are counted by kind."""
    store.add(job("resp_1"), CONTENT, MOST)
    store.add(job("resp_2"), CONTENT, MOST)
    store.add(job("batch_1", kind="batch", resumes=True), CONTENT, MOST)
    begin(store)
    begin(store, "batch_1")
    store.put_back("batch_1")
    counts = {kind: each for kind, each in store.counts().items() if each != Counts()}
    assert counts == {"response": Counts(1, 1), "batch": Counts(1, 1)}
    for id_ in ("resp_1", "resp_2", "batch_1"):
        store.end(id_, JobStatus.COMPLETED)
    assert all(each == Counts() for each in store.counts().values())


def test_expire(kind):
    """A job is forgotten when its time to live after its end is over."""
    store = kind.open()
    store.add(job(ttl=60), CONTENT, MOST)
    kind.advance(1000)
    store.expire()
    begin(store, seconds=2000)
    store.end("resp_1", JobStatus.COMPLETED)
    kind.advance(59)
    store.expire()
    assert [*store.ids("alice")] == ["resp_1"]
    kind.advance(2)
    store.expire()
    assert store.find("resp_1") is None
    assert [*store.ids("alice")] == []


def test_nothing_left(redis_server):
    """Of a job that is forgotten or deleted, Redis keeps nothing but its owner's rank."""
    kind = RedisKind(redis_server.url)
    store = kind.open()
    for id_ in ("resp_1", "resp_2", "resp_3"):
        store.add(job(id_, owner="ann/e:*"), CONTENT, MOST)
    begin(store)
    begin(store, "resp_2")
    store.end("resp_1", JobStatus.COMPLETED)
    store.mark_reported("resp_1")
    store.delete("resp_2")
    store.delete("resp_3")
    kind.advance(1000)
    store.expire()
    assert kind.keys() == ["counts", "ranks"]
    kind.close()


def test_redis_away(caplog):
    """A Redis that cannot be reached makes the store unavailable; health and log say so, once."""
    kind = RedisKind("redis://:secret@127.0.0.1:1/0")
    store = kind.open()
    for _ in range(2):
        with pytest.raises(Unavailable, match="SESSION_STORE: Redis cannot be reached"):
            store.add(job(), CONTENT, MOST)
    assert store.health()["status"] == "failing"
    assert len(records_of(caplog, StoreHealth)) == 1
    assert "secret" not in caplog.text
    kind.close()


def test_unusable_file(tmp_path, caplog):
    """A file that is no database makes the store unavailable; health and log say what to do."""
    (tmp_path / "jobs.db").write_bytes(b"no database at all" * 100)
    store = SqliteJobStore(str(tmp_path / "jobs.db"))
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"JOBS_DB: .* move the file away"):
            store.add(job(), CONTENT, MOST)
    assert store.health()["status"] == "failing"
    assert "move the file away" in store.health()["error"]
    assert len(records_of(caplog, StoreHealth)) == 1
    store.close()


def test_list_of_all(store, kind):
    """All owners' jobs are listed, the newest first, until they are deleted or have expired."""
    for number, owner in enumerate(["alice", "bob", "alice"]):
        made = job(f"resp_{number}", owner, created_at=START + number)
        store.add(made, JobContent(), MOST)
    assert store.keys(2) == [("alice", "resp_2"), ("bob", "resp_1")]
    store.delete("resp_2")
    begin(store, "resp_1")
    store.end("resp_1", JobStatus.COMPLETED)
    assert store.keys(9) == [("bob", "resp_1"), ("alice", "resp_0")]
    kind.advance(61)
    store.expire()
    assert store.keys(9) == [("alice", "resp_0")]
