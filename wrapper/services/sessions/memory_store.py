"""The memory store: sessions in a TTLCache of one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cachetools import Cache, TTLCache

from wrapper.errors import Conflict, RequestTooLarge
from wrapper.services.listing import MOST_LISTED, Key
from wrapper.services.sessions.session import Session, SessionInfo

# The bytes that a session takes in memory beside the text of its messages.
OVERHEAD = 2048


class _Sessions(TTLCache[Key, Session]):
    """A TTLCache with a peek that does not count as use."""

    def peek(self, key: Key) -> Session | None:
        return Cache.__getitem__(self, key) if key in self else None

    def stored(self) -> list[Key]:
        """Return the keys of all items in the order of their last use, at the speed of a copy."""
        self.expire()
        return [*Cache.__iter__(self)]

    def take(self, key: Key) -> Session | None:
        """Remove an item and return it. The timer stands still, so the item cannot expire."""
        with self.timer:
            return self.pop(key, None)


class MemoryClaim:
    """The right to a session's next turn; see Claim."""

    def __init__(self, store: MemorySessionStore, key: Key, session: Session | None):
        self._store = store
        self._key = key
        self.session = session

    def save(self, session: Session) -> None:
        self._store.put(self._key, self, session)

    def release(self) -> None:
        self._store.unlock(self._key, self)


class MemorySessionStore:
    """Keeps at most *count* sessions of at most *size* bytes together; see SessionStore.

    When it is full, it evicts the least recently used session. *ttl* is in seconds of *timer*;
    *clock* returns Unix seconds.
    """

    def __init__(
        self,
        *,
        ttl: float,
        count: int,
        size: int,
        timer: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ):
        self._cache = _Sessions(size, ttl, timer, lambda session: session.head.size + OVERHEAD)
        self._count = count
        self._clock = clock
        # Claimed sessions are not in the cache, where they could expire.
        self._claims: dict[Key, MemoryClaim] = {}
        self._changed = threading.Condition()

    def claim(self, owner: str, id_: str, seconds: float) -> MemoryClaim | None:
        key = (owner, id_)
        with self._changed:
            if not self._changed.wait_for(lambda: key not in self._claims, seconds):
                return None
            claim = self._claims[key] = MemoryClaim(self, key, self._cache.take(key))
            return claim

    def read(self, owner: str, id_: str) -> Session | None:
        with self._changed:
            return self._find((owner, id_))

    def heads(self, owner: str) -> Sequence[SessionInfo]:
        with self._changed:
            keys = {key for key in (*self._cache, *self._claims) if key[0] == owner}
            heads = [session.head for key in keys if (session := self._find(key))]
        return sorted(heads, key=lambda head: (head.created, head.key.id))

    def keys(self) -> Sequence[Key]:
        with self._changed:
            keys = [*self._cache.stored(), *self._claims]
        return keys[: -MOST_LISTED - 1 : -1]

    def infos(self, keys: Sequence[Key]) -> Sequence[SessionInfo]:
        with self._changed:
            return [session.head for key in keys if (session := self._find(key))]

    def delete(self, owner: str, id_: str) -> SessionInfo | None:
        key = (owner, id_)
        with self._changed:
            session = self._find(key)
            if session is None:
                return None
            self._claims.pop(key, None)
            self._cache.take(key)
            self._changed.notify_all()
            return session.head

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def close(self) -> None:
        with self._changed:
            self._cache.clear()

    def put(self, key: Key, claim: MemoryClaim, session: Session) -> None:
        """Store *session* if *claim* still holds. Raises Conflict if it does not."""
        with self._changed:
            if self._claims.get(key) is not claim:
                raise Conflict(
                    "The session was deleted while this turn ran, which is not remembered.",
                    code="session_deleted",
                    retry=False,
                )
            if session.head.size + OVERHEAD > self._cache.maxsize:
                raise RequestTooLarge(
                    "The session would be larger than SESSIONS_MAX_BYTES and cannot be remembered; "
                    "begin another one.",
                    code="session_too_large",
                    retry=False,
                )
            claim.session = session

    def unlock(self, key: Key, claim: MemoryClaim) -> None:
        with self._changed:
            if self._claims.get(key) is not claim:
                return
            del self._claims[key]
            if claim.session:
                self._keep(key, claim.session)
            self._changed.notify_all()

    def _keep(self, key: Key, session: Session) -> None:
        self._cache.expire()
        while len(self._cache) >= self._count:
            self._cache.popitem()
        self._cache[key] = replace(session, head=replace(session.head, used=self._clock()))

    def _find(self, key: Key) -> Session | None:
        claim = self._claims.get(key)
        return claim.session if claim else self._cache.peek(key)
