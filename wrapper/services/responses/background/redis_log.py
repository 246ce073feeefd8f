"""The Redis log: events in a stream for each response, which all machines share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrapper.services.redis_client import RedisClient, StoreRedis
from wrapper.services.responses.background.event_log import PAGE, LoggedEvent
from wrapper.services.responses.background.group import decode, encode

PREFIX = "claude-code-gateway:response-events"
SETTING = "SESSION_STORE"
FIELD = b"events"
# How long Redis holds back an answer at most. Its client waits 2 seconds for one.
BLOCK = 1.0


class RedisEventLog:
    """An EventLog in the Redis at *url*, for *ttl* seconds after a response's last event.

    That is to be longer than a turn may be silent, and than a job is kept.

    The id of a stream's entry is one more than the number of its last event, as 0 is no id.
    """

    def __init__(self, url: str, *, ttl: float, prefix: str = PREFIX):
        self._redis = StoreRedis(RedisClient(url, SETTING, decode=False), "events of responses")
        self._life = round(ttl * 1000)
        self._prefix = prefix

    def append(self, id_: str, events: Sequence[LoggedEvent]) -> None:
        key, position = self._key(id_), events[-1].number + 1
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.xadd(key, {FIELD: encode(events)}, id=f"{position}-0")
            pipeline.pexpire(key, self._life)
            pipeline.execute()

    def read(self, id_: str, after: int, wait: float = 0.0) -> list[LoggedEvent]:
        key = self._key(id_)
        block = round(min(wait, BLOCK) * 1000) or None
        with self._redis.reached() as client:
            streams: Any = client.xread({key: f"{after + 1}-0"}, count=PAGE, block=block)
        return [
            event
            for _, entries in streams or ()
            for _, fields in entries
            for event in decode(fields[FIELD], after)
        ]

    def last(self, id_: str) -> LoggedEvent | None:
        with self._redis.reached() as client:
            entries: Any = client.xrevrange(self._key(id_), count=1)
        return [*decode(entries[0][1][FIELD])][-1] if entries else None

    def delete(self, id_: str) -> None:
        with self._redis.reached() as client:
            client.delete(self._key(id_))

    def close(self) -> None:
        self._redis.close()

    def _key(self, id_: str) -> str:
        return f"{self._prefix}:{id_}"
