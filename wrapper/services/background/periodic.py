"""The janitor: a thread that calls a function every few seconds, for as long as it is wanted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class PeriodicTask:
    """Calls *work* every *seconds*, once started and until closed; both may be said again."""

    def __init__(self, work: Callable[[], None], seconds: float):
        self._work = work
        self._seconds = seconds
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Call it no more; a call under way is not waited for."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                self._work()
            except Exception as error:  # it goes better next time, or not
                log.warning("what is kept could not be tidied: %s", error)
