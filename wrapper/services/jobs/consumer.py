"""The consumer: it takes jobs from the queue, and runs each in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from wrapper.errors import ApiError, Unavailable
from wrapper.services.jobs.deferred import DeferredJobs
from wrapper.services.jobs.job import JobStatus, JobView
from wrapper.services.jobs.records import JobRecords, error_of
from wrapper.services.jobs.running import PAUSE, RunningJob, Worker, revoked_key
from wrapper.services.principal import Principal

# Seconds that a worker is taken for alive after it has said so.
LEASE = 15.0
# How many jobs that are only to end may run beside those that fill this process.
ENDING = 2

Run = Callable[[RunningJob], None]

log = logging.getLogger(__name__)


class Consumer:
    """Runs at most *most* jobs at once, by the handlers of their kinds in *runs*.

    An owner has no more than their `concurrent_turns`, and never all of several: also a job that
    resumes may last, as where it waits for a limit of its owner's. A job that is only to end
    begins nevertheless.
    *principal_of* returns the owner of a name, or None if there is none any more.
    """

    def __init__(
        self,
        records: JobRecords,
        worker: Worker,
        runs: Mapping[str, Run],
        principal_of: Callable[[str], Principal | None],
        *,
        most: int,
    ):
        self._records = records
        self._worker = worker
        self._runs = runs
        self._principal_of = principal_of
        self._most = most
        self._left = threading.Condition()  # guards what follows, and tells that a job has left
        self._running: set[RunningJob] = set()
        self._ending: set[RunningJob] = set()  # may still put another one into the queue
        self._deferred = DeferredJobs()
        # Jobs that the store may have begun although none runs here, and until when to look.
        self._unsure: dict[str, float] = {}
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to take jobs, unless that is so. Raises RuntimeError if there is no thread."""
        if self._most and self._thread is None:
            thread = threading.Thread(target=self._take_jobs, name="jobs", daemon=True)
            thread.start()
            self._thread = thread

    def stop(self) -> None:
        """Begin no more jobs. The queue may still be waited for, for a second; see `join`."""
        with self._left:
            self._stopping = True
            self._left.notify_all()
        self._records.queue.wake()

    def join(self) -> None:
        """Wait until the queue is no longer used, after `stop`."""
        if self._thread:
            self._thread.join()

    def running(self) -> list[RunningJob]:
        with self._left:
            return [*self._running]

    def end_waiting(self, view: JobView) -> None:
        """Begin a job that is cancelled and waits at once, so that it ends though others run."""
        room = len(self.running()) < self._most + ENDING
        if room and self._thread and not (self._stopping or self._worker.draining()):
            with suppress(Unavailable, RuntimeError):  # the queue has it, or it is put back
                self._begin(view, self._principal_of(view.job.owner))

    def put_back_unsure(self) -> None:
        """Let jobs wait again that the store has begun for this process while its answer was lost.

        A slow store may do so later, so it is asked several times.
        """
        for id_ in [*self._unsure]:
            view = self._records.store.find(id_)
            until = self._unsure.get(id_)
            if until is None:  # it is just being begun
                continue
            if view and view.state.worker == self._worker.id and view.in_progress:
                self._records.put_back(id_)
            elif time.monotonic() < until:
                continue
            self._unsure.pop(id_, None)

    def stop_revoked(self) -> None:
        """Stop the jobs in parts whose keys were revoked; a turn that has begun once goes on."""
        for job in self.running():
            if job.job.resumes and self._principal_of(job.job.owner) is None:
                job.revoke()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait at most so long until no job runs here, and return whether none does."""
        with self._left:
            return self._left.wait_for(lambda: not (self._running or self._ending), seconds)

    def _take_jobs(self) -> None:
        while not self._stopping:
            try:
                if self._may_take():
                    self._take()
            except Unavailable:  # the store logs it
                self._pause(PAUSE)
            except Exception:
                log.exception("no job could be taken")
                self._pause(PAUSE)

    def _may_take(self) -> bool:
        """Say whether another job may begin; if not, wait a moment for that."""
        with self._left:
            full = len(self._running) >= self._most
            if full:
                self._left.wait(PAUSE)
        if not full and (full := self._worker.draining() or not self._records.store.exists()):
            self._pause(PAUSE)
        return not full

    def _pause(self, seconds: float) -> None:
        with self._left:
            self._left.wait_for(lambda: self._stopping, seconds)

    def _take(self) -> None:
        id_ = self._records.queue.take()
        if id_ is None or (view := self._records.store.find(id_)) is None:
            return
        if self._stopping:
            self._give_back(view)
            return
        principal = self._principal_of(view.job.owner)
        if principal and self._has_enough(principal) and not view.state.cancel_requested:
            self._defer(view)
        else:
            self._begin(view, principal)

    def _has_enough(self, principal: Principal) -> bool:
        own = sum(other.job.owner == principal.name for other in self.running())
        most = max(1, self._most - 1)
        return own >= min(most, principal.concurrent_turns or most)

    def _defer(self, view: JobView) -> None:
        """Put off a job that waits."""
        if view.priority is not None and (after := self._deferred.add(view)):
            self._records.queue.put(view.job.id, view.priority, after)

    def _try_deferred(self, owner: str) -> None:
        """Queue a job that was put off while another one of its owner ran."""
        if view := self._deferred.pop(owner):
            self._give_back(view)

    def _give_back(self, view: JobView) -> None:
        """Put a job that waits into the queue, where it comes back also if this fails."""
        if view.priority is not None:
            with suppress(Unavailable):
                self._records.queue.put(view.job.id, view.priority)

    def _begin(self, view: JobView, principal: Principal | None) -> None:
        id_, worker = view.job.id, self._worker.id
        unsure_until = self._unsure.pop(id_, None)
        try:
            content = self._records.store.begin(id_, worker, time.time() + LEASE)
        except Unavailable:
            self._unsure[id_] = time.monotonic() + LEASE
            raise
        if content is None:
            if unsure_until is not None:  # it was in the queue twice
                self._unsure[id_] = unsure_until
            return
        job = RunningJob(view.job, content, principal, self._worker, self._records)
        with self._left:
            self._running.add(job)
        thread = threading.Thread(target=self._run, args=(job,), name=f"job-{id_}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has none left, and may have one later
            self._unsure[id_] = time.monotonic() + LEASE
            self._leave(job)
            raise

    def _run(self, job: RunningJob) -> None:
        try:
            self._handle(job)
        finally:
            self._hand_over(job)

    def _hand_over(self, job: RunningJob) -> None:
        """Leave, and let the owner's next job begin. Nobody closes the queue until that is done."""
        with self._left:
            self._ending.add(job)
        self._leave(job)
        try:
            self._try_deferred(job.job.owner)
        finally:
            with self._left:
                self._ending.discard(job)
                self._left.notify_all()

    def _leave(self, job: RunningJob) -> None:
        with self._left:
            self._running.discard(job)
            self._left.notify_all()

    def _handle(self, job: RunningJob) -> None:
        error = ApiError("The gateway failed; its log says why.")
        try:
            if job.revoked and not job.job.resumes:
                raise revoked_key(job.job.owner)
            self._runs[job.job.kind](job)
        except ApiError as raised:
            error = raised
        except Exception:
            log.exception("job %s failed", job.job.id)
        if not job.settled:
            job.end(JobStatus.FAILED, error_of(error))
