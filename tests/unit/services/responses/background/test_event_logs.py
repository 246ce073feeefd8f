"""The event logs of responses in the background: their common contract, and their particulars."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from redis import Redis

from tests.support.job_stores import SqliteKind as ClockedJobs
from wrapper.errors import Unavailable
from wrapper.services.jobs.job import Job, JobContent, JobStatus
from wrapper.services.jobs.redis_store import RedisJobStore
from wrapper.services.jobs.sqlite_store import SqliteJobStore
from wrapper.services.jobs.store import Room
from wrapper.services.redis_client import RedisClient, StoreRedis
from wrapper.services.responses.background.event_log import PAGE, LoggedEvent
from wrapper.services.responses.background.redis_log import RedisEventLog
from wrapper.services.responses.background.sqlite_log import SqliteEventLog

pytestmark = pytest.mark.packages

ID = "resp_1"
DEADLINE = 20.0


class SqliteKind:
    """Logs in one file, which has the jobs of two responses."""

    def __init__(self, folder):
        self.path = str(folder / "jobs.db")
        self.jobs = SqliteJobStore(self.path)
        self._logs = []
        for id_ in (ID, "resp_2"):
            self.jobs.add(Job(id_, "response", "alice", 60), JobContent(b"{}"), Room(10, 1000))

    def open(self):
        self._logs.append(SqliteEventLog(self.path))
        return self._logs[-1]

    def close(self):
        for each in (*self._logs, self.jobs):
            each.close()


class RedisKind:
    """Logs under a prefix of their own in one Redis, which has the jobs of two responses."""

    def __init__(self, url):
        self.url = url
        self.prefix = f"test-{uuid.uuid4().hex}"
        self._redis = StoreRedis(RedisClient(url, "SESSION_STORE", decode=False), "jobs")
        self.jobs = RedisJobStore(self._redis, f"{self.prefix}:jobs")
        self._logs = []
        for id_ in (ID, "resp_2"):
            self.jobs.add(Job(id_, "response", "alice", 60), JobContent(b"{}"), Room(10, 1000))

    def open(self):
        names = {"prefix": self.prefix, "jobs_prefix": f"{self.prefix}:jobs"}
        self._logs.append(RedisEventLog(self.url, ttl=60, **names))
        return self._logs[-1]

    def close(self):
        for each in (*self._logs, self.jobs):
            each.close()
        with Redis.from_url(self.url) as client:
            if keys := [*client.scan_iter(f"{self.prefix}:*")]:
                client.delete(*keys)


@pytest.fixture
def sqlite(tmp_path):
    kind = SqliteKind(tmp_path)
    yield kind
    kind.close()


@pytest.fixture(params=["sqlite", "redis"])
def kind(request):
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    kind = RedisKind(request.getfixturevalue("redis_server").url)
    yield kind
    kind.close()


def events(first, last):
    return [LoggedEvent(number, f'{{"n":"{number} \u2028é"}}') for number in range(first, last + 1)]


def read_all(log, after=-1):
    """Return all events after a number, page by page."""
    read: list[LoggedEvent] = []
    while page := log.read(ID, read[-1].number if read else after):
        read += page
    return read


def test_read(kind):
    """Events are read as they were added, from any number on, also within a group."""
    log = kind.open()
    assert (log.read(ID, -1), log.last(ID)) == ([], None)
    log.append(ID, events(2, 4))
    log.append(ID, events(5, 9))
    assert log.read(ID, -1) == events(2, 9)
    assert log.read(ID, 3) == events(4, 9)
    assert log.read(ID, 4) == events(5, 9)
    assert log.read(ID, 9) == []
    assert log.last(ID) == events(9, 9)[0]
    assert log.read("resp_2", -1) == []


def test_pages(kind):
    """Of many groups only some are read at once."""
    log = kind.open()
    for number in range(PAGE + 2):
        log.append(ID, events(number, number))
    assert log.read(ID, -1) == events(0, PAGE - 1)
    assert read_all(log) == events(0, PAGE + 1)


def test_delete(kind):
    """The events of one response are deleted."""
    log = kind.open()
    for id_ in (ID, "resp_2"):
        log.append(id_, events(0, 1))
    log.delete(ID)
    assert log.read(ID, -1) == []
    assert log.read("resp_2", -1) == events(0, 1)


@pytest.mark.parametrize("same", [True, False], ids=["same log", "another log"])
def test_wait(kind, same):
    """A reader gets what is added while it waits, by its own process or another one."""
    log = kind.open()
    writer = log if same else kind.open()
    read: list[LoggedEvent] = []

    def follow():
        until = time.monotonic() + DEADLINE
        while not read and time.monotonic() < until:
            read.extend(log.read(ID, 0, wait=1.0))

    reader = threading.Thread(target=follow)
    reader.start()
    writer.append(ID, events(0, 1))
    reader.join()
    assert read == events(1, 1)


def test_wait_in_vain(kind):
    """A reader waits no longer than it says."""
    assert kind.open().read(ID, -1, wait=0.01) == []


def test_deleted_with_the_job(kind):
    """No events come after the job of their response; in SQLite all are gone with it."""
    log = kind.open()
    for id_ in (ID, "resp_2"):
        log.append(id_, events(0, 1))
    kind.jobs.delete(ID)
    if isinstance(kind, RedisKind):
        log.delete(ID)
    log.append(ID, events(2, 3))
    assert log.read(ID, -1) == []
    assert log.read("resp_2", -1) == events(0, 1)


def test_life_after_the_end(tmp_path):
    """Whatever a turn took, its response and events are kept for a time that begins at its end."""
    kind = ClockedJobs(tmp_path)
    jobs, log = kind.open(), SqliteEventLog(str(tmp_path / "jobs.db"))
    try:
        jobs.add(Job(ID, "response", "alice", 3600), JobContent(b"{}", b"{}"), Room(1, 10))
        kind.advance(5 * 3600)
        jobs.begin(ID, "w1", 0)
        log.append(ID, events(0, 1))
        kind.advance(9 * 3600)
        jobs.expire()
        jobs.end(ID, JobStatus.COMPLETED)
        kind.advance(3599)
        jobs.expire()
        assert (jobs.summary(ID), log.read(ID, -1)) == (b"{}", events(0, 1))
        kind.advance(2)
        jobs.expire()
        assert (jobs.find(ID), log.read(ID, -1)) == (None, [])
    finally:
        log.close()
        kind.close()


def test_expiry(redis_server):
    """In Redis the events of a response expire after the last of them."""
    kind = RedisKind(redis_server.url)
    try:
        kind.open().append(ID, events(0, 1))
        with Redis.from_url(kind.url) as client:
            assert 0 < client.ttl(f"{kind.prefix}:{ID}") <= 60
    finally:
        kind.close()


def test_without_redis():
    """A log that cannot be reached is unavailable, and says which setting is meant."""
    log = RedisEventLog("redis://127.0.0.1:1/0", ttl=60)
    with pytest.raises(Unavailable, match=r"^SESSION_STORE: Redis cannot be reached"):
        log.read(ID, -1)
    log.close()


def test_without_a_file(tmp_path):
    """A file that cannot be opened is unavailable, and the error has no path."""
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(Unavailable, match=r"^JOBS_DB: ") as caught:
        SqliteEventLog(str(tmp_path / "jobs.db")).read(ID, -1)
    assert str(tmp_path) not in str(caught.value)
