"""The worker: gunicorn's threaded one, which goes on answering while its last turns end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# How long nobody is let in where there is nothing to let them in with.
PAUSE_SECONDS = 0.5


class DrainingWorker(ThreadWorker):
    """Told to stop, it is `draining` until no turn runs, and only then deaf.

    So whoever asks meanwhile is told, and need not wait for nobody. *busy* says whether turns run.
    What gunicorn's would die of, and its turns with it, it waits for to pass: a lack of descriptors
    where someone calls. All its threads are there from the beginning, when they can still be had.
    """

    draining = False
    _pause_ends = 0.0
    busy: Callable[[], bool] = staticmethod(lambda: False)

    def get_thread_pool(self) -> ThreadPoolExecutor:
        pool = super().get_thread_pool()
        meeting = Barrier(self.cfg.threads + 1)
        for _ in range(self.cfg.threads):
            pool.submit(meeting.wait)
        meeting.wait()
        return pool

    def accept(self, listener: socket.socket) -> None:
        try:
            super().accept(listener)
        except OSError as error:
            self.log.error("nobody is let in for a moment: %s", error)
            self._pause_ends = time.monotonic() + PAUSE_SECONDS
            self.set_accept_enabled(False)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Let callers in, or not; gunicorn asks for it again each second at least."""
        super().set_accept_enabled(bool(enabled) and time.monotonic() >= self._pause_ends)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.draining = True
        if self.busy():
            self.method_queue.defer(lambda: None)  # which wakes the loop, and so `notify`
        else:
            super().handle_exit(sig, frame)

    def notify(self) -> None:
        super().notify()
        if self.draining and not self.busy():
            self.alive = False
