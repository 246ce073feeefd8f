"""The run of single lines: each is claimed before its request begins, so that none runs twice."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from functools import partial

from wrapper.errors import ShuttingDown, StoredFileNotFound, Unavailable
from wrapper.ids import new_id
from wrapper.services.batches.batch import LineResult
from wrapper.services.batches.line import Line, LineError, answered, failed, load_line
from wrapper.services.batches.line_index import LineIndex, LineSpan
from wrapper.services.batches.running import RunningBatch
from wrapper.services.batches.store import BatchStore
from wrapper.services.files.service import FileService
from wrapper.services.jobs.answer import Answer

# Seconds after which a run lets other jobs have its place.
SLICE = 10.0
# How often a request is tried that is refused with 503 before anything of it begins.
TRIES = 5

log = logging.getLogger(__name__)


class LineRunner:
    """Runs lines of the batches in *store*, whose files are in *files*."""

    def __init__(self, store: BatchStore, files: FileService):
        self._store = store
        self._files = files
        self._lock = threading.Lock()  # held while lines are claimed, and guards what follows
        self._active: set[tuple[str, int]] = set()

    def run(self, batch: RunningBatch, *, paused: bool) -> None:
        """Run lines until this run's time is over. While the batch is *paused*, try one first."""
        job, until = batch.job, time.monotonic() + SLICE
        index = LineIndex(self._store.index(batch.id))
        if not index:  # another run has ended the batch
            return
        while time.monotonic() < until and not (job.cancelled() or job.draining() or batch.expired):
            number = self._claim(batch)
            if number is None:
                return
            try:
                if not (paused or job.settled):
                    job.again()  # so that other runs take lines, too
                if not self._run_line(batch, number, index[number]):
                    return
            finally:
                if not job.abandoned:  # another worker finds that this one has died
                    self._active.discard((batch.id, number))
            if paused:
                paused = False
                self._store.change(batch.id, {"paused": None})

    def running(self, batch: RunningBatch) -> Sequence[tuple[int, str]]:
        """Return the lines that run, in any worker, each with its worker.

        Those of this worker that do not run are released: their claim was lost on its way here.
        """
        with self._lock:  # so that no run of this process claims a line that another one releases
            lines = self._store.running(batch.id)
            for number, worker in lines:
                if worker == batch.worker and (batch.id, number) not in self._active:
                    self._store.release(batch.id, number)
        return lines

    def _claim(self, batch: RunningBatch) -> int | None:
        with self._lock:
            number = self._store.claim(batch.id, batch.worker)
            if number is not None:
                self._active.add((batch.id, number))
        return number

    def _run_line(self, batch: RunningBatch, number: int, span: LineSpan) -> bool:
        """Run a line that is claimed, and say whether the next one may run."""
        custom_id = None
        try:
            line = load_line(batch.read(self._files, span), batch.request.endpoint)
            custom_id = line.custom_id
            result = self._result(batch, number, line)
        except LineError as error:
            result = LineResult(number, False, failed(span.line, error))
        except StoredFileNotFound as error:
            gone = LineError("file_not_found", error.message)
            result = LineResult(number, False, failed(span.line, gone))
        except ShuttingDown:
            self._store.release(batch.id, number)
            return False
        except Unavailable:  # a turn's own errors are answers, so nothing of it has begun
            raise
        except Exception:
            log.exception("line %d of %s failed", number, batch.id)
            crash = LineError("internal_error", "The gateway failed.", custom_id=custom_id)
            result = LineResult(number, False, failed(span.line, crash))
        if result is not None:
            batch.job.persist(lambda: self._store.finish(batch.id, batch.worker, result))
        return result is not None

    def _result(self, batch: RunningBatch, number: int, line: Line) -> LineResult | None:
        """Return the result of a line's request, or None if it is not to be kept."""
        id_ = new_id("batch_req_")
        with self._ask(batch, line, id_) as answer:
            if answer.limited and batch.expired:
                self._store.release(batch.id, number)
                return None
            if answer.out_of_budget and not _is_of_user(answer):
                self._pause(batch, number)
                return None
            request_id = answer.headers.get("x-request-id", id_)
            status, body = answer.status, answer.read()
        if batch.job.abandoned:
            return None
        if batch.job.cancelled():
            message = "The batch was cancelled, or its key revoked, while this line ran."
            raise LineError("batch_cancelled", message, custom_id=line.custom_id)
        data = answered(id_, line.custom_id, status, request_id, body)
        return LineResult(number, status < 400, data)

    def _ask(self, batch: RunningBatch, line: Line, id_: str) -> Answer:
        path = batch.request.endpoint.removeprefix("/v1")
        headers = {"x-request-id": id_}
        ask = partial(batch.job.ask, path, line.body, headers, expired=lambda: batch.expired)
        for _ in range(TRIES):
            answer = ask()
            if answer.status != 503 or answer.retry_after is None or batch.job.cancelled():
                break
            answer.close()
            batch.job.wait(answer.retry_after)
        else:
            answer = ask()
        return answer

    def _pause(self, batch: RunningBatch, number: int) -> None:
        """Take back a line that the key's budget does not allow, and say so in the batch."""
        self._store.release(batch.id, number)
        message = (
            "The budget of the key is used up. The batch goes on when the budget renews or grows."
        )
        paused = {"reason": "insufficient_quota", "message": message, "since": int(time.time())}
        self._store.change(batch.id, {"paused": paused})


def _is_of_user(answer: Answer) -> bool:
    """Say whether the budget that is used up is that of the line's user; others may go on."""
    return "user_usd_per_" in answer.headers.get("x-budget-warnings", "")
