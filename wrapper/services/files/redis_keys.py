"""The keys of files in Redis, and its errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from wrapper.errors import StorageFull, Unavailable
from wrapper.services.redis_client import StoreRedis

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "claude-code-gateway:files"
SETTING = "SESSION_STORE"


@dataclass(frozen=True)
class FileKeys:
    """The keys below *prefix*. No owner's name can lead to the keys of another."""

    prefix: str = PREFIX

    def records(self, owner: str) -> str:
        """Return the hash of the owner's records by id."""
        return f"{self.prefix}:records:{quote(owner, safe='')}"

    def sizes(self, owner: str) -> str:
        """Return the hash of the bytes that the owner's files take by id, reservations included."""
        return f"{self.prefix}:sizes:{quote(owner, safe='')}"

    @property
    def expiring(self) -> str:
        """Return the sorted set of all files, each `id owner`, by the time at which it expires."""
        return f"{self.prefix}:expiring"

    def content(self, id_: str) -> str:
        """Return the hash of a content's pieces by number."""
        return f"{self.prefix}:content:{id_}"


@contextlib.contextmanager
def reached(redis: StoreRedis) -> Iterator[Redis]:
    """Yield the client of *redis*. Errors become StorageFull or Unavailable."""
    try:
        with redis.reached() as client:
            yield client
    except Unavailable as error:
        if "'maxmemory'" in error.message:  # which Redis has reached
            raise StorageFull(error.message) from None
        raise
