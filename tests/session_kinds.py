"""Stores of sessions for tests, in which time passes when the test says so."""

from __future__ import annotations

import uuid
from typing import Any

from redis import Redis

from tests.shop_store import ShopStore
from wrapper.services.sessions.memory import MemoryStore
from wrapper.services.sessions.redis import RedisStore

HOLD = 15.0
START = 1_700_000_000.0


class MemoryKind:
    """Stores in memory, with room for *count* sessions and *size* bytes."""

    def __init__(self, count: int = 1000, size: int = 10**9):
        self.now = START
        self._room = (count, size)

    def open(self, ttl: float) -> MemoryStore:
        count, size = self._room
        return MemoryStore(
            ttl=ttl, count=count, size=size, timer=lambda: self.now, clock=lambda: self.now
        )

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def close(self) -> None:
        """There is nothing to close."""


class ShopKind:
    """Stores such as a shop might write."""

    def __init__(self) -> None:
        self.now = START

    def open(self, ttl: float) -> ShopStore:
        return ShopStore(ttl, lambda: self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def close(self) -> None:
        """There is nothing to close."""


class RedisKind:
    """Stores that share keys of their own in the Redis at *url*."""

    def __init__(self, url: str):
        self.now = START
        self.url = url
        self.prefix = f"test-{uuid.uuid4().hex}"
        self.client = Redis.from_url(url)
        self.opened: list[RedisStore] = []

    def open(self, ttl: float) -> RedisStore:
        store = RedisStore(self.url, ttl=ttl, hold=HOLD, prefix=self.prefix, clock=lambda: self.now)
        self.opened.append(store)
        return store

    def advance(self, seconds: float) -> None:
        """Bring what has a life closer to its end, while the stores renew theirs in time."""
        self.now += seconds
        while seconds > 0:
            step = min(seconds, HOLD / 3)
            for key in self.keys():
                self.client.pexpire(key, int(self.life(key) * 1000 - step * 1000))
            for store in self.opened:
                store.renew()
            seconds -= step

    def keys(self, kind: str = "") -> list[bytes]:
        return list(self.client.scan_iter(f"{self.prefix}:{kind}*", 1000))

    def life(self, key: bytes) -> float:
        """Return the seconds after which *key* goes by itself, as all keys must."""
        life: Any = self.client.pttl(key)
        assert life != -1, f"{key!r} stays for ever"
        return float(life) / 1000

    def close(self) -> None:
        for store in self.opened:
            store.close()
        if keys := self.keys():
            self.client.delete(*keys)
        self.client.close()
