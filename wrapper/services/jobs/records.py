"""The records of jobs: those in the store, and in the queue while they wait."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection

from wrapper.errors import ApiError, Unavailable
from wrapper.json_text import Json
from wrapper.services.jobs.job import Job, JobContent, JobStatus
from wrapper.services.jobs.queue import JobQueue
from wrapper.services.jobs.reports import EndReports
from wrapper.services.jobs.store import JobStore, Room

LOST = Unavailable(
    "The process that ran this has ended. It is never run again by itself, as its tools may have "
    "had effects; send it again if that does no harm.",
    code="worker_lost",
)

# The priority of a job that is only to end. All others are negative.
FIRST = 0.0

log = logging.getLogger(__name__)


class JobRecords:
    """Changes jobs in *store* and *queue* together, and reports their ends in *reports*.

    A job is stored before it is put into the queue, so that none is lost; `recover` finds those
    that are missing in the queue.
    """

    def __init__(self, store: JobStore, queue: JobQueue, reports: EndReports):
        self.store = store
        self.queue = queue
        self.reports = reports

    def add(self, job: Job, content: JobContent, room: Room) -> bool:
        """Add a job; return False if the kept jobs of its owner leave no *room*."""
        priority = self.store.add(job, content, room)
        if priority is None:
            return False
        self._put(job.id, priority)
        return True

    def put_back(self, id_: str, after: float = 0.0) -> bool:
        """Let a job in progress wait again, for so many seconds at least."""
        priority = self.store.put_back(id_)
        if priority is None:
            return False
        self._put(id_, priority, after)
        return True

    def end(self, id_: str, status: JobStatus, error: Json | None = None) -> bool:
        """End a job, and say whether this call has ended it."""
        view = self.store.end(id_, status, error)
        if view is None:
            return False
        self.reports.report(view)
        return True

    def cancel(self, id_: str) -> None:
        """End a job that has not begun, or let the one in progress be told."""
        view = self.store.cancel(id_)
        if view is None:
            return
        if view.ended:
            self.reports.report(view)
        elif view.priority is not None:
            self._put(id_, FIRST)  # its next run ends it, which may be put off

    def recover(self) -> None:
        """End or put back the jobs whose workers have died."""
        for view in self.store.orphans():
            job = view.job
            if job.resumes:
                self.put_back(job.id)
            elif view.state.cancel_requested:
                self.end(job.id, JobStatus.CANCELLED)
            else:
                self.end(job.id, JobStatus.FAILED, error_of(LOST))
            log.warning("the worker of job %s has ended", job.id)

    def refill(self) -> Collection[str]:
        """Put the jobs into the queue that wait and are missing there; return all that wait."""
        waiting = self.store.waiting()
        if len(waiting) > self.queue.size():
            for id_ in waiting.keys() - self.queue.ids():
                self.queue.put(id_, waiting[id_])
        return waiting

    def _put(self, id_: str, priority: float, after: float = 0.0) -> None:
        with contextlib.suppress(Unavailable):  # `refill` puts it later
            self.queue.put(id_, priority, after)


def error_of(error: ApiError) -> Json:
    """Return the error as a job keeps it."""
    body: Json = error.body()["error"]
    return body
