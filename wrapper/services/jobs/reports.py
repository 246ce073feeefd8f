"""The reports of ends: each end of a job is reported until its report is stored."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from wrapper.errors import Unavailable
from wrapper.services.jobs.job import JobView
from wrapper.services.jobs.store import JobStore
from wrapper.services.telemetry.metrics import Metrics

# Seconds after which an end that is not marked is reported again, by any process.
REPEAT_AFTER = 10.0

# Reports an end, and calls the function once a crash can no longer lose the report.
Ended = Callable[[JobView, Callable[[], None]], None]

log = logging.getLogger(__name__)


class EndReports:
    """Reports the ends of jobs in *store* by *handlers* of their kinds, and counts in *metrics*.

    A handler may get the same end twice, if a process dies before the report is stored.
    """

    def __init__(self, store: JobStore, metrics: Metrics):
        self.handlers: dict[str, Ended] = {}
        self._store = store
        self._metrics = metrics
        self._marking = threading.Lock()
        self._closed = False

    def report(self, view: JobView) -> None:
        """Report an end. It never raises."""
        mark = partial(self._mark, view)
        handler = self.handlers.get(view.job.kind)
        if handler is None:
            mark()
            return
        try:
            handler(view, mark)
        except Exception:
            log.exception("the end of job %s could not be reported", view.job.id)
            mark()  # a repeat would fail again

    def repeat(self) -> None:
        """Report the ends again that nobody has marked for some time. Raises Unavailable."""
        for view in self._store.unreported(REPEAT_AFTER):
            self.report(view)

    def close(self) -> None:
        """Mark no more ends, as the store is closed. Another process repeats the reports."""
        with self._marking:
            self._closed = True

    def _mark(self, view: JobView) -> None:
        with self._marking, suppress(Unavailable):  # `repeat` comes back to it
            if not self._closed and self._store.mark_reported(view.job.id):
                self._metrics.job_ended(view.job.kind, view.state.status)
