"""The worker: gunicorn's threaded one, which goes on answering while its last turns end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class DrainingWorker(ThreadWorker):
    """Told to stop, it is `draining` until no turn runs, and only then deaf.

    So whoever asks meanwhile is told, and need not wait for nobody. *busy* says whether turns run.
    """

    draining = False
    busy: Callable[[], bool] = staticmethod(lambda: False)

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
