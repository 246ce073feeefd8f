"""The queue of the jobs that wait, in one of Huey's storages.

Of Huey only the storages are used. Each hands a message to one worker, and the one with the highest
priority first. A message that is lost, or put twice, does no harm: the job store decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from huey.storage import BaseStorage

# Seconds that `take` waits for a message at most.
WAIT = 1.0


class Storage(Protocol):
    """A storage of Huey's, opened when it is needed."""

    def opened(self) -> AbstractContextManager[BaseStorage]:
        """Yield the storage. Errors become Unavailable."""
        ...

    def close(self) -> None: ...


class JobQueue:
    """Holds the ids of jobs in *storage*. All methods may raise Unavailable."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time):
        self._storage = storage
        self._clock = clock
        self._put = threading.Event()

    def put(self, id_: str, priority: float, after: float = 0.0) -> None:
        """Put a job into the queue, in so many seconds."""
        message = f"{priority!r} {id_}".encode()
        with self._storage.opened() as storage:
            if after:
                storage.add_to_schedule(message, _time(self._clock() + after))
            else:
                storage.enqueue(message, priority)
        self.wake()

    def take(self) -> str | None:
        """Take the job with the highest priority, or return None if none has come for a second.

        A storage that cannot wait is looked into once a second for the jobs of other processes.
        """
        with self._storage.opened() as storage:
            self._release(storage)
            message: bytes | None = storage.dequeue()
            waited = storage.blocking
        if message is not None:
            return _parse(message)[0]
        if not waited:
            self._put.wait(WAIT)
            self._put.clear()
        return None

    def wake(self) -> None:
        """End the wait of `take` in this process."""
        self._put.set()

    def size(self) -> int:
        """Return how many messages there are."""
        with self._storage.opened() as storage:
            return int(storage.queue_size()) + int(storage.schedule_size())

    def ids(self) -> set[str]:
        """Return the ids in all messages."""
        with self._storage.opened() as storage:
            messages = [*storage.enqueued_items(), *storage.scheduled_items()]
        return {_parse(message)[0] for message in messages}

    def close(self) -> None:
        self._storage.close()

    def _release(self, storage: BaseStorage) -> None:
        """Put the scheduled jobs whose time has come into the queue."""
        if storage.schedule_size():
            for message in storage.read_schedule(_time(self._clock())):
                storage.enqueue(message, _parse(message)[1])


def _parse(message: bytes) -> tuple[str, float]:
    priority, _, id_ = message.decode().partition(" ")
    return id_, float(priority)


def _time(seconds: float) -> datetime:
    """Return the local time without a zone, from which Huey's storages make Unix seconds."""
    return datetime.fromtimestamp(seconds)
