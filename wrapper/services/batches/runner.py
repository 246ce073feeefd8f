"""The runner: a job of a batch runs lines for some seconds, and goes back into the queue.

Several runs of a batch, also in several workers, run its lines at once. The one that finds nothing
left to run writes the result files.
"""

from __future__ import annotations

import contextlib
import logging
import time
from functools import partial
from itertools import takewhile

from wrapper.errors import ApiError, StorageFull, StoredFileNotFound, Unavailable
from wrapper.ids import new_id
from wrapper.json_text import Json
from wrapper.services.batches.batch import (
    ENDED,
    BatchRequest,
    BatchState,
    BatchStatus,
    LineResult,
)
from wrapper.services.batches.line import LineError, failed, load_line
from wrapper.services.batches.line_index import LineIndex, LineSpan
from wrapper.services.batches.lines import LineRunner
from wrapper.services.batches.results import ResultWriter
from wrapper.services.batches.running import RunningBatch
from wrapper.services.batches.store import BatchStore
from wrapper.services.batches.validation import MOST_LINES, TooManyLines, validate
from wrapper.services.files.service import FileService
from wrapper.services.jobs.job import JobStatus
from wrapper.services.jobs.running import RunningJob
from wrapper.services.jobs.service import Jobs

# Seconds until the next look: at a budget that is used up, at lines that run elsewhere, and after
# the result files could not be written.
BUDGET_PAUSE, LOOK_PAUSE, FAILURE_PAUSE = 60.0, 1.0, 30.0

JOB_STATUS = {
    BatchStatus.COMPLETED: JobStatus.COMPLETED,
    BatchStatus.EXPIRED: JobStatus.INCOMPLETE,
    BatchStatus.CANCELLED: JobStatus.CANCELLED,
    BatchStatus.FAILED: JobStatus.FAILED,
}

log = logging.getLogger(__name__)


class BatchRunner:
    """Runs the batches in *store*, whose files are in *files*, as jobs of *jobs*."""

    def __init__(self, store: BatchStore, files: FileService, jobs: Jobs):
        self._store = store
        self._files = files
        self._jobs = jobs
        self._lines = LineRunner(store, files)
        self._writer = ResultWriter(store, files)
        self._finalizers: set[str] = set()  # of this process, which write now

    def run(self, job: RunningJob) -> None:
        """Do the next part of a batch; if a store cannot be used, another run does it later."""
        try:
            self._run(job)
        except (StorageFull, Unavailable) as error:
            log.warning("batch %s goes on in %d s: %s", job.job.id, FAILURE_PAUSE, error.message)
            job.again(FAILURE_PAUSE)

    def _run(self, job: RunningJob) -> None:
        batch = self._open(job)
        if self._state(batch).status is BatchStatus.VALIDATING and not self._validate(batch):
            return
        state = self._state(batch)
        if state.status is BatchStatus.IN_PROGRESS and not self._reason_to_end(batch, state):
            self._lines.run(batch, paused=bool(state.facts.get("paused")))
        if job.abandoned:
            job.again()
        else:
            self._advance(batch)

    def _open(self, job: RunningJob) -> RunningBatch:
        request = BatchRequest.decode(job.content.summary)
        try:
            file = self._files.find(job.job.owner, request.input_file_id)
        except StoredFileNotFound:
            file = None
        return RunningBatch(job, request, file)

    def _state(self, batch: RunningBatch) -> BatchState:
        state = self._store.read(batch.id)
        if state is None:
            raise ApiError("The state of the batch is lost.")
        return state

    def _revoke(self, batch: RunningBatch) -> None:
        """Let no line of a batch begin any more, and end those that run, in any worker."""
        self._store.change(batch.id, {"errors": [_revoked(batch.owner)]})
        self._jobs.cancel(batch.owner, batch.id)

    def _validate(self, batch: RunningBatch) -> bool:
        """Let lines be claimed, and say whether there are any; if not, the batch has ended."""
        if batch.file is None:
            return self._fail(batch, "file_not_found", "The input file was deleted.")
        pieces = self._files.read(batch.file)
        wanted = takewhile(lambda _: not batch.job.cancelled(), pieces)
        try:
            refuse = partial(self._store.refuse, batch.id)
            found = validate(wanted, batch.file.size, batch.request.endpoint, refuse)
        except TooManyLines:
            message = f"The input file has more than {MOST_LINES} lines; split it."
            return self._fail(batch, "too_many_tasks", message)
        finally:
            pieces.close()
        if batch.job.cancelled():
            self._stop_validation(batch)
            return False
        if not found.total:
            return self._fail(batch, "empty_file", "The input file has no lines.")
        facts = {"status": BatchStatus.IN_PROGRESS, "in_progress_at": int(time.time())}
        self._store.begin(batch.id, found.index, found.total, found.refused, facts)
        return True

    def _stop_validation(self, batch: RunningBatch) -> None:
        if batch.job.abandoned:
            batch.job.again()  # for another process
        elif batch.job.revoked:
            self._end(batch, BatchStatus.FAILED, {"errors": [_revoked(batch.owner)]})
        else:
            self._end(batch, BatchStatus.CANCELLED, {})

    def _fail(self, batch: RunningBatch, code: str, message: str) -> bool:
        error = {"code": code, "message": message, "param": "input_file_id", "line": None}
        self._end(batch, BatchStatus.FAILED, {"errors": [error]})
        return False

    def _reason_to_end(self, batch: RunningBatch, state: BatchState) -> BatchStatus | None:
        """Return how the batch ends even if lines are left, or None."""
        if state.facts.get("errors"):  # its key was revoked
            return BatchStatus.FAILED
        view = self._jobs.find(batch.owner, batch.id)
        if view is None or view.state.cancel_requested:
            return BatchStatus.CANCELLED
        return BatchStatus.EXPIRED if batch.expired else None

    def _ending(self, batch: RunningBatch, reason: BatchStatus | None) -> BatchStatus:
        """Return how a batch ends of which no line runs; its last one may have ended just now."""
        if reason is not BatchStatus.EXPIRED:
            return reason or BatchStatus.COMPLETED
        state = self._state(batch)
        return BatchStatus.COMPLETED if state.done == state.total else BatchStatus.EXPIRED

    def _advance(self, batch: RunningBatch) -> None:
        """End the batch if nothing of it is left to run, or put it back into the queue."""
        if batch.job.revoked:
            self._revoke(batch)
        self._give_up_lost(batch)
        state = self._state(batch)
        reason = self._reason_to_end(batch, state)
        if state.status in ENDED:  # its worker died before it could say so
            self._end_job(batch, state.status)
        elif state.done == state.total or (reason and not self._store.running(batch.id)):
            self._finalize(batch, self._ending(batch, reason))
        elif state.facts.get("paused") and not reason:
            batch.job.again(BUDGET_PAUSE)
        else:
            batch.job.again(0 if state.claimed < state.total and not reason else LOOK_PAUSE)

    def _give_up_lost(self, batch: RunningBatch) -> None:
        """Let the lines fail whose workers have died."""
        lines = self._lines.running(batch)
        dead = {worker for _, worker in lines if not self._jobs.alive(worker)}
        if not dead:
            return
        index = LineIndex(self._store.index(batch.id))
        if not index:  # another run has ended the batch
            return
        message = (
            "The process that ran this line has ended. It is never run again by itself, as its "
            "tools may have had effects."
        )
        for number, worker in lines:
            if worker in dead:
                result = self._unrun(batch, number, index[number], "worker_lost", message)
                self._store.finish(batch.id, worker, result)

    def _unrun(
        self, batch: RunningBatch, number: int, span: LineSpan, code: str, message: str
    ) -> LineResult:
        """Return the result of a line that got no answer."""
        custom_id = None
        with contextlib.suppress(LineError, StoredFileNotFound):
            custom_id = load_line(batch.read(self._files, span), batch.request.endpoint).custom_id
        error = LineError(code, message, custom_id=custom_id)
        return LineResult(number, False, failed(span.line, error))

    def _finalize(self, batch: RunningBatch, status: BatchStatus) -> None:
        """Write the result files, unless another run does, and end the batch."""
        before, token = self._store.finalizer(batch.id), f"{batch.worker} {new_id('')}"
        self._finalizers.add(token)
        try:
            if self._writes(batch, before) or not self._store.take_over(batch.id, before, token):
                batch.job.again(LOOK_PAUSE)  # in case that the other one dies
            elif (ended := self._state(batch).status) in ENDED:  # by the finalizer before
                self._end_job(batch, ended)
            else:
                self._write(batch, status)
        except BaseException:
            with contextlib.suppress(Unavailable):
                self._store.take_over(batch.id, token, "")
            raise
        finally:
            self._finalizers.discard(token)

    def _writes(self, batch: RunningBatch, finalizer: str) -> bool:
        """Say whether a finalizer may still write the result files.

        One of this process may have lost the store's answer, or failed while the store was away.
        """
        worker = finalizer.partition(" ")[0]
        if worker == batch.worker:
            return finalizer in self._finalizers
        return bool(worker) and self._jobs.alive(worker)

    def _write(self, batch: RunningBatch, status: BatchStatus) -> None:
        facts = {"status": BatchStatus.FINALIZING, "finalizing_at": int(time.time())}
        self._store.change(batch.id, facts)
        index = LineIndex(self._store.index(batch.id))

        def unfinished(number: int) -> LineResult | None:
            if status is not BatchStatus.EXPIRED:
                return None
            message = "The batch expired before this line ran."
            return self._unrun(batch, number, index[number], "batch_expired", message)

        seconds = min(batch.request.file_seconds or self._files.ttl, self._files.ttl)
        self._writer.write(batch, self._state(batch), seconds, unfinished)
        reason = self._reason_to_end(batch, self._state(batch))  # which may have come meanwhile
        if reason in (BatchStatus.CANCELLED, BatchStatus.FAILED):
            status = reason
        self._end(batch, status, {"paused": None})

    def _end(self, batch: RunningBatch, status: BatchStatus, facts: Json) -> None:
        ended = {"status": status, f"{status}_at": int(time.time()), **facts}
        self._store.change(batch.id, ended)
        self._end_job(batch, status)

    def _end_job(self, batch: RunningBatch, status: BatchStatus) -> None:
        # The lines have prompts and answers, which must not outlive the batch if this process dies.
        self._store.clear(batch.id)
        batch.job.end(JOB_STATUS[status])


def _revoked(owner: str) -> Json:
    message = f"The key {owner!r} was revoked before the batch had ended."
    return {"code": "invalid_api_key", "message": message, "param": None, "line": None}
