"""The memory store: responses in a TTLCache of one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from cachetools import Cache, TTLCache

from wrapper.services.listing import MOST_LISTED, Key

# The bytes that a response takes in memory beside its value.
OVERHEAD = 512


class MemoryResponseStore:
    """Keeps at most *count* responses of at most *size* bytes together; see ResponseStore.

    *ttl* is in seconds of *timer*.
    """

    def __init__(
        self,
        *,
        ttl: float,
        count: int,
        size: int,
        timer: Callable[[], float] = time.monotonic,
    ):
        self._cache: TTLCache[Key, bytes] = TTLCache(
            size, ttl, timer, lambda value: len(value) + OVERHEAD
        )
        self._count = count
        self._lock = threading.Lock()

    def put(self, owner: str, id_: str, value: bytes) -> bool:
        if len(value) + OVERHEAD > self._cache.maxsize:
            return False
        with self._lock:
            self._cache.expire()
            while len(self._cache) >= self._count:
                self._cache.popitem()
            self._cache[owner, id_] = value
        return True

    def read(self, owner: str, ids: Sequence[str]) -> Sequence[bytes | None]:
        with self._lock:
            return [self._use((owner, id_)) for id_ in ids]

    def touch(self, owner: str, ids: Sequence[str]) -> None:
        self.read(owner, ids)

    def ids(self, owner: str) -> Sequence[str]:
        return [id_ for of, id_ in self._keys() if of == owner]

    def keys(self) -> Sequence[Key]:
        return self._keys()[:MOST_LISTED]

    def peek(self, owner: str, ids: Sequence[str]) -> Sequence[bytes | None]:
        with self._lock:
            return [self._cache.get((owner, id_)) for id_ in ids]

    def delete(self, owner: str, id_: str) -> bool:
        with self._lock:
            return self._cache.pop((owner, id_), None) is not None

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def close(self) -> None:
        with self._lock:
            self._cache.clear()

    def _keys(self) -> list[Key]:
        """Return the keys of all values, those used last first."""
        with self._lock:
            self._cache.expire()
            keys = [*Cache.__iter__(self._cache)]  # it copies, where a TTLCache looks at each
        return keys[::-1]

    def _use(self, key: Key) -> bytes | None:
        """Return the value, and restart its time to live."""
        value = self._cache.pop(key, None)
        if value is not None:
            self._cache[key] = value
        return value
