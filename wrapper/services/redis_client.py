"""A client of one Redis, whose errors never show the password."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from wrapper.services.listing import MOST_LISTED
from wrapper.services.store_health import StoreFailed, StoreHealth

if TYPE_CHECKING:
    from redis import Redis

# Members of an index that are read at once.
CHUNK = 1000
# Seconds to wait for Redis. A URL can set others (?socket_timeout=5).
TIMEOUT = 2.0

T = TypeVar("T")


class RedisClient:
    """Connects to the Redis at *url*, the value of *setting*. Needs redis-py.

    Threads may share it. Replies are text, or bytes without *decode*.
    """

    def __init__(self, url: str, setting: str, *, decode: bool = True):
        self._url = url
        self._setting = setting
        self._decode = decode
        self._lock = threading.Lock()
        self._client: Redis | None = None

    @contextlib.contextmanager
    def reached(self) -> Iterator[Redis]:
        """Yield the client. Errors become StoreFailed, without the password."""
        try:
            from redis import RedisError, ResponseError
        except ImportError:
            mend = "pip install 'claude-code-gateway[redis]'"
            raise self._failed(f"redis-py is not installed; {mend}") from None
        try:
            yield self._connect()
        except ResponseError as error:
            raise self._failed(f"Redis refuses: {self._masked(error)}") from None
        except (RedisError, OSError) as error:
            reason = "Redis cannot be reached; start it, or mend the URL"
            raise self._failed(reason, self._masked(error)) from None

    def close(self) -> None:
        """Disconnect. The next use connects again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connect(self) -> Redis:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with self._lock:
            if self._client is None:
                try:
                    _check(self._url)
                    # Without retries, so that a caller waits no longer than TIMEOUT.
                    self._client = Redis.from_url(
                        self._url,
                        decode_responses=self._decode,
                        socket_timeout=TIMEOUT,
                        socket_connect_timeout=TIMEOUT,
                        retry=Retry(NoBackoff(), 0),
                    )
                except ValueError:  # its text may contain a part of the password
                    mend = "write redis://:PASSWORD@HOST:PORT/0, the password %-escaped"
                    raise self._failed(f"this is no URL of a Redis; {mend}") from None
            return self._client

    def _failed(self, reason: str, where: str = "") -> StoreFailed:
        return StoreFailed(f"{self._setting}: {reason}", where)

    def _masked(self, error: Exception) -> str:
        text = str(error)
        parts = urlsplit(self._url)
        for secret in (parts.password, *parse_qs(parts.query).get("password", [])):
            for form in (secret, unquote(secret)) if secret else ():
                text = text.replace(form, "***")
        return text


class StoreRedis:
    """The Redis of a store of *what*, such as "sessions". It logs each new reason for a failure."""

    def __init__(self, client: RedisClient, what: str):
        self._client = client
        self._health = StoreHealth(what)

    @contextlib.contextmanager
    def reached(self) -> Iterator[Redis]:
        """Yield the client of redis-py. Raises StoreFailed."""
        with self._health.watching(), self._client.reached() as client:
            yield client

    def health(self) -> dict[str, Any]:
        """Return the state that was seen last."""
        return self._health.state()

    def close(self) -> None:
        """Disconnect. The next use connects again."""
        self._client.close()


def _check(url: str) -> None:
    """Raise ValueError where an unescaped / or # in a password would end the host."""
    if "@" in url and "@" not in urlsplit(url).netloc:
        raise ValueError


def read_index(client: Redis, index: str) -> Iterator[bytes]:
    """Yield at most MOST_LISTED members of a sorted set, the last first.

    They are read in chunks, so that Redis's other clients do not wait.
    """
    for first in range(0, MOST_LISTED, CHUNK):
        members: Any = client.zrange(index, first, first + CHUNK - 1, desc=True)
        yield from members
        if len(members) < CHUNK:
            return


def scan(client: Redis, prefix: str) -> Iterator[list[Any]]:
    """Yield the keys that begin with *prefix*, in chunks. A key may come twice."""
    return in_chunks(client.scan_iter(f"{prefix}*", CHUNK))


def in_chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield *items* in lists, so that Redis's other clients do not wait for all of them."""
    rest = iter(items)
    while chunk := [*islice(rest, CHUNK)]:
        yield chunk
