"""The turns that wait for something each, those in the background apart from all others."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingTurns(Generic[T]):
    """Futures of turns, in the order in which they came. It is not thread-safe.

    Nobody waits for turns in the background, so their futures are popped apart.
    """

    def __init__(self) -> None:
        self._queues: dict[bool, deque[Future[T]]] = {False: deque(), True: deque()}

    def __len__(self) -> int:
        """Return how many wait that are not cancelled."""
        futures = (future for queue in self._queues.values() for future in queue)
        return sum(not future.cancelled() for future in futures)

    def add(self, future: Future[T], *, background: bool) -> None:
        self._queues[background].append(future)

    def pop(self, *, background: bool) -> Future[T] | None:
        """Remove and return the first future that is not cancelled, which is then running."""
        queue = self._queues[background]
        while queue:
            future = queue.popleft()
            if future.set_running_or_notify_cancel():
                return future
        return None

    def clear(self) -> list[Future[T]]:
        """Remove and return all that are not cancelled; they are then running."""
        futures = [future for queue in self._queues.values() for future in queue]
        for queue in self._queues.values():
            queue.clear()
        return [future for future in futures if future.set_running_or_notify_cancel()]
