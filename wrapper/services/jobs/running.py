"""A job while it runs: what its handler asks and reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wrapper.errors import InvalidApiKey, ShuttingDown, Unavailable
from wrapper.json_text import Json
from wrapper.services.jobs.answer import Answer, Dispatch
from wrapper.services.jobs.job import Job, JobContent, JobStatus
from wrapper.services.jobs.records import JobRecords
from wrapper.services.principal import Principal

# Seconds between two tries while the store cannot be reached.
PAUSE = 1.0


@dataclass(frozen=True)
class Worker:
    """This process, as one that runs jobs: its `id`, its requests, and whether it shuts down."""

    id: str
    dispatch: Dispatch
    draining: Callable[[], bool]


def revoked_key(owner: str) -> InvalidApiKey:
    """Return the error for a job that does not run as the key of its owner is revoked."""
    return InvalidApiKey(f"The key {owner!r} is revoked, so its job does not run.")


class RunningJob:
    """A job in progress, of *principal*. Its run calls `end` or `again`, once.

    Without a principal its key is revoked. Then a job that resumes runs, cancelled, to end what has
    begun.
    """

    def __init__(
        self,
        job: Job,
        content: JobContent,
        principal: Principal | None,
        worker: Worker,
        records: JobRecords,
    ):
        self.job = job
        self.content = content
        self._principal = principal
        self._worker = worker
        self._records = records
        self._stopped = threading.Event()
        self._closed = threading.Event()
        self.settled = False  # whether `end` or `again` was called
        self.revoked = False  # whether the key of the owner is
        if principal is None:
            self.revoke()

    @property
    def principal(self) -> Principal:
        """Return the owner. Raises InvalidApiKey if their key is revoked."""
        if self._principal is None:
            raise revoked_key(self.job.owner)
        return self._principal

    @property
    def worker(self) -> str:
        """Return the id of this process; `Jobs.alive` says whether it still lives."""
        return self._worker.id

    def cancelled(self) -> bool:
        """Say whether the run is to end now: somebody has cancelled or deleted the job."""
        return self._stopped.is_set()

    def draining(self) -> bool:
        """Say whether this process shuts down. Then begin nothing, and call `again` if you can."""
        return self._worker.draining()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the job is cancelled, and say whether it is."""
        return self._stopped.wait(seconds)

    def ask(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str] = {},
        *,
        expired: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Make a request of the owner's in this process, and return its answer, to be closed.

        While a limit refuses it, it waits and asks again, until it has *expired*; then it returns
        the refusal. Raises ShuttingDown if nothing of it has begun because this process shuts down.
        """
        while True:
            answer = self._worker.dispatch(
                self.principal, path, body, gone=self.cancelled, headers=headers
            )
            if answer.retry_after is None or self.cancelled() or expired():
                return answer
            if self.draining():
                answer.close()
                raise ShuttingDown("The gateway is shutting down; the job waits for another one.")
            if not answer.limited:
                return answer
            answer.close()
            self._pause(answer.retry_after, expired)

    def end(self, status: JobStatus, error: Json | None = None) -> bool:
        """End the job, and say whether this call has ended it.

        While the store cannot be reached it tries again, as the result would be lost otherwise.
        """
        self.settled = True
        return self.persist(lambda: self._records.end(self.job.id, status, error))

    def has_ended(self, status: JobStatus) -> bool:
        """Say whether the job has ended so, as where the store's answer to `end` was lost."""

        def look() -> bool:
            view = self._records.store.find(self.job.id)
            return view is not None and view.ended and view.state.status is status

        return self.persist(look)

    def again(self, after: float = 0.0) -> bool:
        """Put the job back into the queue, for so many seconds at least."""
        self.settled = True
        return self.persist(lambda: self._records.put_back(self.job.id, after))

    def revoke(self) -> None:
        """Stop, as the key of the owner is revoked."""
        self.revoked = True
        self.stop()

    def stop(self) -> None:
        """Let `cancelled` say so."""
        self._stopped.set()

    @property
    def abandoned(self) -> bool:
        """Say whether it is to end because this process ends, and not because it is cancelled."""
        return self._closed.is_set()

    def abandon(self) -> None:
        """Stop, and try no longer to reach the store."""
        self._closed.set()
        self._stopped.set()

    def _pause(self, seconds: float, expired: Callable[[], bool]) -> None:
        """Wait, but not while this process shuts down, nor for what has expired."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not (self.draining() or expired()):
            if self.wait(min(left, PAUSE)):
                return

    def persist(self, change: Callable[[], bool]) -> bool:
        """Return what *change* does, which is tried again while it raises Unavailable.

        False means that this process ends before the store could be reached.
        """
        while True:
            try:
                return change()
            except Unavailable:
                if self._closed.wait(PAUSE):
                    return False
