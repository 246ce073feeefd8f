"""The streams that are open. Each holds one of the server's threads, so they are counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from wrapper.errors import RateLimited

# Seconds after which a caller with too many may try again.
RETRY = 60


class OpenStreams:
    """Counts streams, of which *most* may be open, and *most_of_caller* of one caller.

    *refusal* says what to do about too many. Threads may share it.
    """

    def __init__(self, refusal: str, *, most: int, most_of_caller: int):
        self._refusal = refusal
        self._most = most
        self._most_of_caller = most_of_caller
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, name: str) -> Callable[[], None]:
        """Count a stream, and return a function that ends it. Raises RateLimited."""
        with self._lock:
            if self._open.total() >= self._most or self._open[name] >= self._most_of_caller:
                raise RateLimited(self._refusal, retry_after=RETRY)
            self._open[name] += 1
        left = threading.Event()

        def leave() -> None:
            with self._lock:
                if not left.is_set():
                    left.set()
                    self._open[name] -= 1

        return leave
