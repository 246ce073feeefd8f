"""Response stores for tests, whose time passes when the test says so."""

from __future__ import annotations

import uuid

from redis import Redis

from wrapper.services.responses.memory_store import MemoryResponseStore
from wrapper.services.responses.redis_store import RedisResponseStore

START = 1_700_000_000.0


class MemoryKind:
    """Stores in memory, with room for *count* responses and *size* bytes."""

    def __init__(self, count: int = 1000, size: int = 10**8):
        self.now = START
        self._room = (count, size)

    def open(self, ttl: float) -> MemoryResponseStore:
        count, size = self._room
        return MemoryResponseStore(ttl=ttl, count=count, size=size, timer=lambda: self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def close(self) -> None:
        """There is nothing to close."""


class RedisKind:
    """Stores that share a key prefix of their own in the Redis at *url*."""

    def __init__(self, url: str):
        self.url = url
        self.prefix = f"test-{uuid.uuid4().hex}"
        self.client = Redis.from_url(url)
        self._opened: list[RedisResponseStore] = []

    def open(self, ttl: float) -> RedisResponseStore:
        store = RedisResponseStore(self.url, ttl=ttl, prefix=self.prefix)
        self._opened.append(store)
        return store

    def keys(self) -> list[bytes]:
        return list(self.client.scan_iter(f"{self.prefix}*", 1000))

    def advance(self, seconds: float) -> None:
        """Let time pass: keys come closer to expiry."""
        for key in self.keys():
            life = self.client.pttl(key)
            assert life != -1, f"{key!r} stays for ever"
            self.client.pexpire(key, int(life - seconds * 1000))

    def close(self) -> None:
        for store in self._opened:
            store.close()
        if keys := self.keys():
            self.client.delete(*keys)
        self.client.close()
