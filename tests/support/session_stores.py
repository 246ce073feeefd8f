"""Session stores for tests, whose time passes when the test says so."""

from __future__ import annotations

import uuid

from redis import Redis

from shop.sessions import ShopStore
from wrapper.services.sessions.memory_store import MemorySessionStore
from wrapper.services.sessions.redis_store import RedisClaim, RedisSessionStore

HOLD = 60.0
START = 1_700_000_000.0


class MemoryKind:
    """Stores in memory, with room for *count* sessions and *size* bytes."""

    def __init__(self, count: int = 1000, size: int = 10**9):
        self.now = START
        self._room = (count, size)

    def open(self, ttl: float) -> MemorySessionStore:
        count, size = self._room
        return MemorySessionStore(
            ttl=ttl, count=count, size=size, timer=lambda: self.now, clock=lambda: self.now
        )

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def close(self) -> None:
        """There is nothing to close."""


class ShopKind:
    """Stores that an app might write for itself."""

    def __init__(self) -> None:
        self.now = START

    def open(self, ttl: float) -> ShopStore:
        return ShopStore(ttl, lambda: self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def close(self) -> None:
        """There is nothing to close."""


class RedisKind:
    """Stores that share a key prefix of their own in the Redis at *url*."""

    def __init__(self, url: str):
        self.now = START
        self.url = url
        self.prefix = f"test-{uuid.uuid4().hex}"
        self.client = Redis.from_url(url)
        self.opened: list[RedisSessionStore] = []

    def open(self, ttl: float) -> RedisSessionStore:
        store = RedisSessionStore(
            self.url, ttl=ttl, hold=HOLD, prefix=self.prefix, clock=lambda: self.now
        )
        self.opened.append(store)
        return store

    def advance(self, seconds: float) -> None:
        """Let time pass: keys come closer to expiry, and the stores renew their claims."""
        self.now += seconds
        while seconds > 0:
            step = min(seconds, HOLD / 3)
            self._age(step)
            for store in self.opened:
                store.renew()
            seconds -= step

    def keys(self, kind: str = "") -> list[bytes]:
        return list(self.client.scan_iter(f"{self.prefix}:{kind}*", 1000))

    def bury(self, claim: RedisClaim) -> None:
        """Forget a claim, as where the worker that has it dies."""
        for store in self.opened:
            store._claims.pop(claim.token, None)

    def _age(self, seconds: float) -> None:
        keys = self.keys()
        lives = self.client.pipeline(transaction=False)
        for key in keys:
            lives.pttl(key)
        shorter = self.client.pipeline(transaction=False)
        for key, life in zip(keys, lives.execute(), strict=True):
            assert life != -1, f"{key!r} stays for ever"
            shorter.pexpire(key, int(life - seconds * 1000))
        shorter.execute()

    def close(self) -> None:
        for store in self.opened:
            store.close()
        if keys := self.keys():
            self.client.delete(*keys)
        self.client.close()
