"""The Redis store: responses that workers and machines share."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from wrapper.errors import Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.redis_client import RedisClient, StoreRedis

PREFIX = "claude-code-gateway:responses"
SETTING = "SESSION_STORE"
# Seconds between two looks at whether Redis can be reached.
LOOK = 5.0


class RedisResponseStore:
    """Keeps each response in a key of the Redis at *url*, for *ttl* seconds after its last use."""

    def __init__(self, url: str, *, ttl: float, prefix: str = PREFIX):
        self._redis = StoreRedis(RedisClient(url, SETTING, decode=False), "responses")
        self._life = round(ttl * 1000)
        self._prefix = prefix
        self._looking = PeriodicTask(self.look, LOOK)

    def put(self, owner: str, id_: str, value: bytes) -> bool:
        with self._redis.reached() as client:
            client.set(self._key(owner, id_), value, px=self._life)
        return True

    def read(self, owner: str, ids: Sequence[str]) -> Sequence[bytes | None]:
        keys = [self._key(owner, id_) for id_ in ids]
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.mget(keys)
            for key in keys:
                pipeline.pexpire(key, self._life)
            values: Sequence[bytes | None] = pipeline.execute()[0]
        return values

    def touch(self, owner: str, ids: Sequence[str]) -> None:
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            for id_ in ids:
                pipeline.pexpire(self._key(owner, id_), self._life)
            pipeline.execute()

    def delete(self, owner: str, id_: str) -> bool:
        with self._redis.reached() as client:
            return bool(client.delete(self._key(owner, id_)))

    def health(self) -> dict[str, Any]:
        """Return the state that was seen last, at most a few seconds ago."""
        self._looking.start()
        return self._redis.health()

    def close(self) -> None:
        self._looking.close()
        self._redis.close()

    def look(self) -> None:
        """Check that Redis can be reached. Raises nothing."""
        with contextlib.suppress(Unavailable), self._redis.reached() as client:
            client.ping()

    def _key(self, owner: str, id_: str) -> str:
        """Return a response's key, in which no owner or id reaches another one's."""
        return ":".join(
            (self._prefix, *(quote(n, safe="", errors="surrogatepass") for n in (owner, id_)))
        )
