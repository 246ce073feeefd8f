"""The fair share: a few slots for long jobs, given to the callers who have used least of late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wrapper.errors import ChecksBusy, ClientGone

CHECK_SECONDS = 0.25
# After this time what a caller has used counts half.
HALF_LIFE_SECONDS = 60.0


class FairShare:
    """Gives *slots* at a time. At most *queue* jobs wait, each for at most *patience* seconds."""

    def __init__(self, slots: int, *, queue: int, patience: float):
        self._free = slots
        self._queue = queue
        self._patience = patience
        self._waiting: list[str] = []
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
                self._free += 1
                self._changed.notify_all()

    def _take(self, caller: str, gone: Callable[[], bool]) -> None:
        until = time.monotonic() + self._patience
        with self._changed:
            if not self._free and len(self._waiting) >= self._queue:
                raise _busy()
            self._waiting.append(caller)
            try:
                while not self._free or self._next() != caller:
                    if gone():
                        raise ClientGone("The client closed the connection.")
                    if time.monotonic() > until:
                        raise _busy()
                    self._changed.wait(CHECK_SECONDS)
                self._free -= 1
            finally:
                self._waiting.remove(caller)
                self._changed.notify_all()

    def _next(self) -> str:
        """Return which of the waiting callers comes next; of equals, the one who came first."""
        while time.monotonic() - self._halved > HALF_LIFE_SECONDS:
            self._halved += HALF_LIFE_SECONDS
            self._used = {name: used / 2 for name, used in self._used.items() if used > 0.01}
        return min(self._waiting, key=lambda name: self._used.get(name, 0.0))


def _busy() -> ChecksBusy:
    return ChecksBusy(
        "Too many costly checks of schemas and images are running; try again later.",
        retry_after=5,
    )
