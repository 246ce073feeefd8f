"""The Redis store: responses that workers and machines share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from wrapper.errors import Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.listing import Key
from wrapper.services.redis_client import RedisClient, StoreRedis, read_index

if TYPE_CHECKING:
    from redis.client import Pipeline

PREFIX = "claude-code-gateway:responses"
SETTING = "SESSION_STORE"
# Seconds between two looks at whether Redis can be reached.
LOOK = 5.0


class RedisResponseStore:
    """Keeps each response in a key of the Redis at *url*, for *ttl* seconds after its last use.

    A sorted set of each owner has the ids by the time of their last use, in milliseconds of
    *clock*. Another one has the keys of the responses of all owners.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl: float,
        prefix: str = PREFIX,
        clock: Callable[[], float] = time.time,
    ):
        self._redis = StoreRedis(RedisClient(url, SETTING, decode=False), "responses")
        self._life = round(ttl * 1000)
        self._prefix = prefix
        self._clock = clock
        self._looking = PeriodicTask(self.look, LOOK)

    def put(self, owner: str, id_: str, value: bytes) -> bool:
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.set(self._key(owner, id_), value, px=self._life)
            self._use(pipeline, owner, [id_], fresh=True)
            pipeline.execute()
        return True

    def read(self, owner: str, ids: Sequence[str]) -> Sequence[bytes | None]:
        keys = [self._key(owner, id_) for id_ in ids]
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.mget(keys)
            self._use(pipeline, owner, ids)
            values: Sequence[bytes | None] = pipeline.execute()[0]
        return values

    def touch(self, owner: str, ids: Sequence[str]) -> None:
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            self._use(pipeline, owner, ids)
            pipeline.execute()

    def ids(self, owner: str) -> Sequence[str]:
        oldest = self._now() - self._life
        with self._redis.reached() as client:
            ids: Any = client.zrange(self._key(owner), "+inf", oldest, desc=True, byscore=True)
        return [id_.decode() for id_ in ids]

    def keys(self) -> Sequence[Key]:
        with self._redis.reached() as client:
            members = [member.decode() for member in read_index(client, self._all)]
        return [self._parted(member) for member in members]

    def peek(self, owner: str, ids: Sequence[str]) -> Sequence[bytes | None]:
        with self._redis.reached() as client:
            values: Any = client.mget([self._key(owner, id_) for id_ in ids])
        return [*values]

    def delete(self, owner: str, id_: str) -> bool:
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.delete(self._key(owner, id_))
            pipeline.zrem(self._key(owner), id_)
            pipeline.zrem(self._all, self._key(owner, id_))
            return bool(pipeline.execute()[0])

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

    def _use(
        self, pipeline: Pipeline, owner: str, ids: Sequence[str], *, fresh: bool = False
    ) -> None:
        """Restart the lives of responses; only one that is *fresh* is added to the sets."""
        now = self._now()
        for number, id_ in enumerate(ids):
            pipeline.pexpire(self._key(owner, id_), self._life)
            # The fractions keep the order of those that are used at once.
            used = now + number / 1000
            pipeline.zadd(self._key(owner), {id_: used}, xx=not fresh)
            pipeline.zadd(self._all, {self._key(owner, id_): used}, xx=not fresh)
        for index in (self._key(owner), self._all):
            pipeline.zremrangebyscore(index, "-inf", now - self._life)
            pipeline.pexpire(index, self._life)

    def _now(self) -> float:
        return self._clock() * 1000

    @property
    def _all(self) -> str:
        """Return the key of the set of all owners' responses, which no owner's is."""
        return f"{self._prefix}-all"

    def _parted(self, key: str) -> Key:
        """Return the owner and the id of the response with this *key*."""
        owner, id_ = key.removeprefix(f"{self._prefix}:").split(":")
        return unquote(owner, errors="surrogatepass"), unquote(id_, errors="surrogatepass")

    def _key(self, *names: str) -> str:
        """Return the key of a response, or of an owner's set, which no other name can reach."""
        return ":".join(
            (self._prefix, *(quote(name, safe="", errors="surrogatepass") for name in names))
        )
