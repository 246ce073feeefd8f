"""The storage of a queue of jobs in Redis."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wrapper.services.jobs.queue import WAIT
from wrapper.services.jobs.redis_store import PREFIX
from wrapper.services.redis_client import StoreRedis

if TYPE_CHECKING:
    from huey.storage import PriorityRedisStorage


class RedisQueueStorage:
    """Huey's PriorityRedisStorage in the Redis that *redis* reaches, whose replies are bytes."""

    def __init__(self, redis: StoreRedis, prefix: str = PREFIX):
        self._redis = redis
        self._prefix = prefix

    @contextlib.contextmanager
    def opened(self) -> Iterator[PriorityRedisStorage]:
        from huey.storage import PriorityRedisStorage

        with self._redis.reached() as client:
            storage = PriorityRedisStorage(
                connection_pool=client.connection_pool, read_timeout=WAIT
            )
            storage.queue_key = f"{self._prefix}:queue"
            storage.schedule_key = f"{self._prefix}:schedule"
            yield storage

    def close(self) -> None:
        self._redis.close()
