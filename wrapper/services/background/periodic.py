"""A thread that calls a function every few seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class PeriodicTask:
    """Calls *work* every *seconds* between start and close. Both may be called again."""

    def __init__(self, work: Callable[[], None], seconds: float):
        self._work = work
        self._seconds = seconds
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs or the task was closed."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                thread = threading.Thread(target=self._run, name="periodic-task", daemon=True)
                thread.start()  # if there is no thread for it, the next call tries again
                self._thread = thread

    def close(self) -> None:
        """Stop calling the function. A call in progress is not waited for."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self._work()
            except Exception as error:  # the next call may succeed
                log.warning("a periodic task failed and will run again: %s", error)
