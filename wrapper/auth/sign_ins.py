"""Sign-ins: browsers whose user has shown a key, which neither the browser nor this keeps."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

from cachetools import TTLCache

from wrapper.auth.guard import Guard
from wrapper.errors import InvalidApiKey
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.principal import Principal
from wrapper.services.redis_client import RedisClient, scan
from wrapper.services.sqlite_file import SqliteFile
from wrapper.services.store_health import raising_unavailable
from wrapper.settings import Settings

# A sign-in ends after this time, however much it is used.
SECONDS = 12 * 3600
# Those that are kept without a Redis; further ones end the oldest. One address cannot make so
# many in SECONDS.
MOST = 25_000
PREFIX = "claude-code-gateway:console:"
CREATE = """
CREATE TABLE IF NOT EXISTS sign_ins (
    id TEXT PRIMARY KEY, text TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID
"""
PUT = "INSERT OR REPLACE INTO sign_ins VALUES (?, ?, ?)"
READ = "SELECT text FROM sign_ins WHERE id = ? AND expires > ?"
DELETE_ENDING = "DELETE FROM sign_ins WHERE substr(text, ?) = ?"
REMOVE_SURPLUS = """
DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins ORDER BY expires DESC LIMIT -1 OFFSET ?)
"""


class SignInStore(Protocol):
    """Keeps a text by id, for SECONDS. All methods may raise StoreFailed."""

    def put(self, id_: str, text: str) -> None: ...

    def read(self, id_: str) -> str | None: ...

    def delete(self, id_: str) -> None: ...

    def delete_ending(self, end: str) -> int:
        """Delete all texts that have this *end*, and return how many there were."""
        ...


class SignIns:
    """The sign-ins in the store that *store* returns, of holders of the keys that *guard* knows.

    *stores* are all that this or other processes may have used.

    A sign-in has a random token, which only the browser has: the store has its hash. It ends when
    the key is revoked or replaced, since the store also has a MAC of the key's hash, by that token.
    """

    def __init__(
        self, guard: Guard, store: Callable[[], SignInStore], stores: Collection[SignInStore]
    ):
        self._guard = guard
        self._current = store
        self._stores = stores

    @contextlib.contextmanager
    def _store(self) -> Iterator[SignInStore]:
        with raising_unavailable("Sign-ins cannot be checked."):
            yield self._current()

    def open(self, key: str) -> str:
        """Return the token of a new sign-in with *key*. Raises InvalidApiKey or Unavailable."""
        principal = self._guard.holder(key.encode("utf-8", "replace"))
        known = self._guard.named(principal.name) if principal else None
        if known is None:
            raise InvalidApiKey("This key is wrong, or it is no longer valid.")
        token = new_token()
        with self._store() as store:
            store.put(_id(token), f"{_proof(token, known[1])} {known[0].name}")
        return token

    def holder(self, token: str) -> Principal | None:
        """Return who signed in with this *token*, or None. Raises Unavailable."""
        with self._store() as store:
            proof, _, name = (store.read(_id(token)) or "").partition(" ")
        known = self._guard.named(name) if name else None
        if known is None or not hmac.compare_digest(proof, _proof(token, known[1])):
            return None
        return known[0]

    def delete_all(self, name: str) -> int:
        """End all sign-ins of the key *name*, and return how many there were. Raises Unavailable.

        Those that have expired may count.
        """
        with raising_unavailable("Sign-ins cannot be deleted."):
            return sum(store.delete_ending(f" {name}") for store in self._stores)

    def close(self, token: str) -> None:
        """End a sign-in, if there is one. Raises Unavailable."""
        with self._store() as store:
            store.delete(_id(token))


class MemorySignInStore:
    """Keeps sign-ins in this worker's memory. *timer* is in seconds."""

    def __init__(self, timer: Callable[[], float] = time.monotonic):
        self._cache: TTLCache[str, str] = TTLCache(MOST, SECONDS, timer)
        self._lock = threading.Lock()

    def put(self, id_: str, text: str) -> None:
        with self._lock:
            self._cache[id_] = text

    def read(self, id_: str) -> str | None:
        with self._lock:
            return self._cache.get(id_)

    def delete(self, id_: str) -> None:
        with self._lock:
            self._cache.pop(id_, None)

    def delete_ending(self, end: str) -> int:
        with self._lock:
            ids = [id_ for id_, text in self._cache.items() if text.endswith(end)]
            for id_ in ids:
                self._cache.pop(id_, None)
        return len(ids)


class SqliteSignInStore:
    """Keeps sign-ins in the file of usage, which the workers of a machine share."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time):
        self._file = SqliteFile(path, (CREATE,))
        self._clock = clock

    def put(self, id_: str, text: str) -> None:
        now = self._clock()
        with self._file.changing() as connection:
            connection.execute("DELETE FROM sign_ins WHERE expires <= ?", (now,))
            connection.execute(REMOVE_SURPLUS, (MOST - 1,))
            connection.execute(PUT, (id_, text, now + SECONDS))

    def read(self, id_: str) -> str | None:
        with self._file.opened() as connection:
            row = connection.execute(READ, (id_, self._clock())).fetchone()
        return str(row[0]) if row else None

    def delete(self, id_: str) -> None:
        with self._file.opened() as connection:
            connection.execute("DELETE FROM sign_ins WHERE id = ?", (id_,))

    def delete_ending(self, end: str) -> int:
        if not self._file.exists():
            return 0
        with self._file.opened() as connection:
            return connection.execute(DELETE_ENDING, (-len(end), end)).rowcount

    def close(self) -> None:
        """Close the file until it is used again."""
        self._file.close()


class RedisSignInStore:
    """Keeps sign-ins in a Redis, which several workers share."""

    def __init__(self, client: RedisClient):
        self._client = client

    def put(self, id_: str, text: str) -> None:
        with self._client.reached() as redis:
            redis.set(f"{PREFIX}{id_}", text, ex=SECONDS)

    def read(self, id_: str) -> str | None:
        with self._client.reached() as redis:
            text: Any = redis.get(f"{PREFIX}{id_}")
        return None if text is None else str(text)

    def delete(self, id_: str) -> None:
        with self._client.reached() as redis:
            redis.delete(f"{PREFIX}{id_}")

    def delete_ending(self, end: str) -> int:
        deleted = 0
        with self._client.reached() as redis:
            for keys in scan(redis, PREFIX):
                texts: Any = redis.mget(keys)
                pairs = zip(keys, texts, strict=True)
                if ending := [key for key, text in pairs if text and text.endswith(end)]:
                    deleted += int(redis.delete(*ending))
        return deleted


def open_sign_ins(settings: Settings, guard: Guard, lifecycle: Lifecycle) -> SignIns:
    """Return the sign-ins in the Redis of *settings*, or else in memory.

    Several workers have them in the file of USAGE_DB instead of in memory.
    """
    if redis := _redis(settings):
        return SignIns(guard, lambda: redis, (redis,))
    memory, shared = MemorySignInStore(), SqliteSignInStore(settings.usage_db)
    stores = (memory, shared)
    return SignIns(guard, lambda: shared if lifecycle.workers > 1 else memory, stores)


def _redis(settings: Settings) -> RedisSignInStore | None:
    for name in ("redis_url", "session_store"):
        url = getattr(settings, name)
        if "://" in url:
            return RedisSignInStore(RedisClient(url, name.upper()))
    return None


def new_token() -> str:
    return secrets.token_urlsafe(32)


def _id(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _proof(token: str, key_hash: str) -> str:
    return hmac.new(token.encode(), key_hash.encode(), hashlib.sha256).hexdigest()
