"""The Redis log: events in a stream for each response, which all machines share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrapper.services.jobs.redis_store import PREFIX as JOBS_PREFIX
from wrapper.services.jobs.redis_store import RedisJobKeys
from wrapper.services.redis_client import RedisClient, StoreRedis
from wrapper.services.responses.background.event_log import PAGE, LoggedEvent
from wrapper.services.responses.background.group import decode, encode

PREFIX = "claude-code-gateway:response-events"
SETTING = "SESSION_STORE"
FIELD = b"events"
# How long Redis holds back an answer at most. Its client waits 2 seconds for one.
BLOCK = 1.0
# Not in a pipeline, whose errors show the beginning of the events. Those of a response that was
# deleted while it ran are dropped.
# KEYS: the stream, and the response's job. ARGV: the entry's id, its field and value, and the
# milliseconds that the stream is kept.
APPEND = """
if redis.call('EXISTS', KEYS[2]) == 0 then return end
redis.call('XADD', KEYS[1], ARGV[1], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
"""


class RedisEventLog:
    """An EventLog in the Redis at *url*, for *ttl* seconds after a response's last event.

    Its jobs are under *jobs_prefix*.

    That is to be longer than a turn may be silent, and than a job is kept.

    The id of a stream's entry is one more than the number of its last event, as 0 is no id.
    """

    def __init__(
        self, url: str, *, ttl: float, prefix: str = PREFIX, jobs_prefix: str = JOBS_PREFIX
    ):
        self._redis = StoreRedis(RedisClient(url, SETTING, decode=False), "events of responses")
        self._life = round(ttl * 1000)
        self._prefix = prefix
        self._jobs = RedisJobKeys(jobs_prefix)

    def append(self, id_: str, events: Sequence[LoggedEvent]) -> None:
        keys = (self._key(id_), self._jobs.job(id_))
        position = events[-1].number + 1
        with self._redis.reached() as client:
            client.eval(
                APPEND, len(keys), *keys, f"{position}-0", FIELD, encode(events), self._life
            )

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
