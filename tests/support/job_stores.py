"""Job stores for tests, whose time passes when the test says so."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from redis import Redis

from wrapper.services.jobs.queue import JobQueue
from wrapper.services.jobs.redis_queue import RedisQueueStorage
from wrapper.services.jobs.redis_store import RedisJobStore
from wrapper.services.jobs.sqlite_queue import SqliteQueueStorage
from wrapper.services.jobs.sqlite_store import SqliteJobStore
from wrapper.services.redis_client import RedisClient, StoreRedis

START = 1_700_000_000.0


class SqliteKind:
    """Stores and queues in one file in *folder*."""

    def __init__(self, folder: Path):
        self.now: float | None = START  # None: it is the real time
        self._path = str(folder / "jobs.db")
        self._opened: list[SqliteJobStore | JobQueue] = []

    def open(self) -> SqliteJobStore:
        store = SqliteJobStore(self._path, clock=self.clock)
        self._opened.append(store)
        return store

    def open_queue(self) -> JobQueue:
        queue = JobQueue(SqliteQueueStorage(self._path), clock=self.clock)
        self._opened.append(queue)
        return queue

    def clock(self) -> float:
        return time.time() if self.now is None else self.now

    def advance(self, seconds: float) -> None:
        self.now = self.clock() + seconds

    def close(self) -> None:
        for opened in self._opened:
            opened.close()


class RedisKind:
    """Stores and queues with a key prefix of their own in the Redis at *url*."""

    def __init__(self, url: str):
        self.now: float | None = START  # None: it is the real time
        self._url = url
        self.prefix = f"test-{uuid.uuid4().hex}"
        self._opened: list[RedisJobStore | JobQueue] = []

    def open(self) -> RedisJobStore:
        store = RedisJobStore(self._redis(), self.prefix, clock=self.clock)
        self._opened.append(store)
        return store

    def open_queue(self) -> JobQueue:
        storage = RedisQueueStorage(self._redis(), self.prefix)
        queue = JobQueue(storage, clock=self.clock)
        self._opened.append(queue)
        return queue

    def clock(self) -> float:
        return time.time() if self.now is None else self.now

    def advance(self, seconds: float) -> None:
        self.now = self.clock() + seconds

    def keys(self) -> list[str]:
        """Return the names of all keys, without the prefix."""
        with Redis.from_url(self._url, decode_responses=True) as client:
            names = client.scan_iter(f"{self.prefix}:*")
            return sorted(name.removeprefix(f"{self.prefix}:") for name in names)

    def close(self) -> None:
        for opened in self._opened:
            opened.close()

    def _redis(self) -> StoreRedis:
        return StoreRedis(RedisClient(self._url, "SESSION_STORE", decode=False), "jobs")
