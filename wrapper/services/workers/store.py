"""The protocol of the stores that workers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

# What a store has is gone after so many seconds, unless it is written again.
LIFE = 10.0


@dataclass(frozen=True)
class Stop:
    """Somebody's wish to stop the request of this `number` of a worker."""

    worker: str
    number: int
    by: str
    admin: bool


@dataclass(frozen=True)
class Orders:
    """What a worker is to do: show its state if that `is_wanted`, and stop turns."""

    is_wanted: bool
    stops: Sequence[Stop] = ()


class WorkerStore(Protocol):
    """Keeps states of workers, as text, and wishes to stop turns, for LIFE.

    Threads and processes may share it. All methods but `close` may raise StoreFailed.
    """

    def want(self) -> None:
        """Let all workers know that somebody looks at their states."""
        ...

    def take_orders(self, worker: str) -> Orders:
        """Return what *worker* is to do; its stops are taken out of the store."""
        ...

    def put(self, worker: str, state: str) -> None: ...

    def states(self) -> Sequence[str]:
        """Return the states of all workers that live, in any order."""
        ...

    def stop(self, stop: Stop) -> None: ...

    def stops(self) -> Sequence[Stop]:
        """Return the stops that no worker has taken yet."""
        ...

    def remove(self, worker: str) -> None:
        """Remove the state of a worker that ends."""
        ...

    def close(self) -> None: ...
