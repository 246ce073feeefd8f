"""The Redis store: workers of all machines share it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wrapper.services.redis_client import RedisClient
from wrapper.services.workers.store import LIFE, Orders, Stop

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "claude-code-gateway:workers"
MILLISECONDS = round(LIFE * 1000)
# KEYS: the worker's state, and the index of all workers by the time at which theirs expires, in
# Redis's milliseconds. ARGV: the worker, its state, and how many milliseconds it stays.
PUT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
"""


class RedisWorkerStore:
    """A WorkerStore in the Redis at *url*, the value of *setting*."""

    def __init__(self, url: str, setting: str, *, prefix: str = PREFIX):
        self._redis = RedisClient(url, setting)
        self._prefix = prefix

    def want(self) -> None:
        with self._redis.reached() as client:
            client.set(self._key("wanted"), "1", px=MILLISECONDS)

    def take_orders(self, worker: str) -> Orders:
        stops = self._key("stops", worker)
        with self._redis.reached() as client:
            pipeline = client.pipeline()
            pipeline.exists(self._key("wanted"))
            pipeline.hgetall(stops)
            pipeline.delete(stops)
            is_wanted, found, _ = pipeline.execute()
        return Orders(bool(is_wanted), _stops(worker, found))

    def put(self, worker: str, state: str) -> None:
        keys = self._key("state", worker), self._key("index")
        with self._redis.reached() as client:
            client.eval(PUT, len(keys), *keys, worker, state, str(MILLISECONDS))

    def states(self) -> Sequence[str]:
        with self._redis.reached() as client:
            workers = self._workers(client)
            keys = [self._key("state", worker) for worker in workers]
            texts: Any = client.mget(keys) if keys else ()
        return [text for text in texts if text is not None]

    def stop(self, stop: Stop) -> None:
        key = self._key("stops", stop.worker)
        with self._redis.reached() as client:
            pipeline = client.pipeline()
            pipeline.hset(key, str(stop.number), json.dumps([stop.by, stop.admin]))
            pipeline.pexpire(key, MILLISECONDS)
            pipeline.execute()

    def stops(self) -> Sequence[Stop]:
        with self._redis.reached() as client:
            workers = self._workers(client)
            pipeline = client.pipeline(transaction=False)
            for worker in workers:
                pipeline.hgetall(self._key("stops", worker))
            found = zip(workers, pipeline.execute(), strict=True)
        return [stop for worker, fields in found for stop in _stops(worker, fields)]

    def remove(self, worker: str) -> None:
        with self._redis.reached() as client:
            client.delete(self._key("state", worker))

    def close(self) -> None:
        self._redis.close()

    def _workers(self, client: Redis) -> list[str]:
        workers: Any = client.zrange(self._key("index"), 0, -1)
        return [*workers]

    def _key(self, *names: str) -> str:
        return ":".join((self._prefix, *names))


def _stops(worker: str, fields: dict[str, str]) -> list[Stop]:
    return [Stop(worker, int(number), *json.loads(text)) for number, text in fields.items()]
