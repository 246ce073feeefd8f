"""The fair share: a few slots for long jobs, given to the callers who have used least of late."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wrapper.errors import ChecksBusy, ClientGone

CHECK_SECONDS = 0.25
# After this time what a caller has used counts half.
HALF_LIFE_SECONDS = 60.0


@dataclass(eq=False)
class _Waiter:
    caller: str
    refused: bool = False


class FairShare:
    """Gives *slots* at a time, to one caller all but one of them.

    At most *queue* jobs wait, each for at most *patience* seconds. Beyond that, one is refused of
    the caller who has most of them waiting.
    """

    def __init__(self, slots: int, *, queue: int, patience: float):
        self._slots = slots
        self._queue = queue
        self._patience = patience
        self._waiting: list[_Waiter] = []
        self._running: Counter[str] = Counter()
        self._used: dict[str, float] = {}
        self._halved = time.monotonic()
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, caller: str, gone: Callable[[], bool]) -> Iterator[None]:
        """Hold a slot. Raises ClientGone, or ChecksBusy where too many wait or it takes long."""
        self._take(caller, gone)
        began = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._used[caller] = self._used.get(caller, 0.0) + time.monotonic() - began
                self._running -= Counter([caller])  # which forgets callers that run nothing
                self._changed.notify_all()

    def _take(self, caller: str, gone: Callable[[], bool]) -> None:
        until = time.monotonic() + self._patience
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
        """Refuse the newest job of the caller who has most waiting, where too many wait."""
        waiting = [waiter for waiter in self._waiting if not waiter.refused]
        if len(waiting) <= self._queue or self._next() is waiting[-1]:
            return
        counts = Counter(waiter.caller for waiter in waiting)
        most = max(counts, key=lambda name: (counts[name], name == waiting[-1].caller))
        next(w for w in reversed(waiting) if w.caller == most).refused = True
        self._changed.notify_all()

    def _next(self) -> _Waiter | None:
        """Return which of the waiting jobs may begin; of equals, the one that came first."""
        while time.monotonic() - self._halved > HALF_LIFE_SECONDS:
            self._halved += HALF_LIFE_SECONDS
            self._used = {name: used / 2 for name, used in self._used.items() if used > 0.01}
        if self._running.total() >= self._slots:
            return None
        share = max(1, self._slots - 1)
        able = [w for w in self._waiting if not w.refused and self._running[w.caller] < share]
        return min(able, key=lambda waiter: self._used.get(waiter.caller, 0.0), default=None)


def _busy() -> ChecksBusy:
    return ChecksBusy(
        "Too many costly checks of schemas and images are running; try again later.",
        retry_after=5,
    )
