"""A few slots for long jobs, given first to the callers with the least recent use."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wrapper.errors import ChecksBusy, ClientGone

CHECK_SECONDS = 0.25
# After this time a caller's use counts half.
HALF_LIFE_SECONDS = 60.0


@dataclass(eq=False)
class _Waiter:
    caller: str
    refused: bool = False


class FairShare:
    """Hands out *slots*, at most all but one of them to the same caller.

    At most *queue* jobs wait, each for at most *max_wait* seconds. If more arrive, the newest job
    of the caller with the most waiting jobs is refused.
    """

    def __init__(self, slots: int, *, queue: int, max_wait: float):
        self._slots = slots
        self._queue = queue
        self._max_wait = max_wait
        self._waiting: list[_Waiter] = []
        self._running: Counter[str] = Counter()
        self._used: dict[str, float] = {}
        self._halved = time.monotonic()
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, caller: str, gone: Callable[[], bool]) -> Iterator[None]:
        """Hold a slot. Raises ClientGone, or ChecksBusy if the queue or the wait is too long."""
        self._take(caller, gone)
        began = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._used[caller] = self._used.get(caller, 0.0) + time.monotonic() - began
                self._running -= Counter([caller])  # removes callers that run nothing
                self._changed.notify_all()

    def _take(self, caller: str, gone: Callable[[], bool]) -> None:
        until = time.monotonic() + self._max_wait
        waiter = _Waiter(caller)
        with self._changed:
            self._waiting.append(waiter)
            try:
                self._shorten_queue()
                while self._next() is not waiter:
                    if gone():
                        raise ClientGone("The client closed the connection.")
                    if waiter.refused or time.monotonic() > until:
                        raise _busy()
                    self._changed.wait(CHECK_SECONDS)
                self._running[caller] += 1
            finally:
                self._waiting.remove(waiter)
                self._changed.notify_all()

    def _shorten_queue(self) -> None:
        """If too many jobs wait, refuse the newest job of the caller with the most waiting jobs."""
        waiting = [waiter for waiter in self._waiting if not waiter.refused]
        if len(waiting) <= self._queue or self._next() is waiting[-1]:
            return
        counts = Counter(waiter.caller for waiter in waiting)
        most = max(counts, key=lambda name: (counts[name], name == waiting[-1].caller))
        next(w for w in reversed(waiting) if w.caller == most).refused = True
        self._changed.notify_all()

    def _next(self) -> _Waiter | None:
        """Return the waiting job that may begin, the earliest of several with equal use."""
        while time.monotonic() - self._halved > HALF_LIFE_SECONDS:
            self._halved += HALF_LIFE_SECONDS
            self._used = {name: used / 2 for name, used in self._used.items() if used > 0.01}
        if self._running.total() >= self._slots:
            return None
        share = max(1, self._slots - 1)
        eligible = [w for w in self._waiting if not w.refused and self._running[w.caller] < share]
        return min(eligible, key=lambda waiter: self._used.get(waiter.caller, 0.0), default=None)


def _busy() -> ChecksBusy:
    return ChecksBusy(
        "Too many costly checks of schemas and images are running; try again later.",
        retry_after=5,
    )
