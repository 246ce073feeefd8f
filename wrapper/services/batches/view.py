"""A batch as its owner sees it."""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.json_text import Json
from wrapper.services.batches.batch import (
    ENDED,
    WINDOW_SECONDS,
    BatchRequest,
    BatchState,
    BatchStatus,
)
from wrapper.services.jobs.job import JobStatus, JobView

TIMES = (
    *("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at"),
    *("cancelling_at", "cancelled_at"),
)


@dataclass(frozen=True)
class BatchView:
    """A batch at some time: its job, what it asks for, and its state."""

    job: JobView
    request: BatchRequest
    state: BatchState

    @property
    def status(self) -> BatchStatus:
        """Return the status, which its job may have before the batch itself."""
        status, job = self.state.status, self.job.state
        if status in ENDED:
            return status
        if job.status is JobStatus.CANCELLED:
            return BatchStatus.CANCELLED
        if self.job.ended:
            return BatchStatus.FAILED
        return BatchStatus.CANCELLING if job.cancel_requested else status

    def body(self) -> Json:
        """Return the batch as OpenAI shows it, and why it is paused."""
        job, request, state, facts = self.job.job, self.request, self.state, self.state.facts
        counts = {"total": state.total, "completed": state.completed, "failed": state.failed}
        return {
            "id": job.id,
            "object": "batch",
            "endpoint": request.endpoint,
            "errors": self._errors(),
            "input_file_id": request.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": facts.get("output_file_id"),
            "error_file_id": facts.get("error_file_id"),
            "created_at": int(job.created_at),
            "expires_at": int(job.created_at) + WINDOW_SECONDS,
            **self._times(),
            "request_counts": counts,
            "metadata": request.metadata,
            "paused": facts.get("paused"),
        }

    def _times(self) -> Json:
        times = {name: self.state.facts.get(name) for name in TIMES}
        if self.job.ended and self.state.status not in ENDED:  # its job did not run to its end
            times[f"{self.status}_at"] = int(self.job.state.ended_at or 0)
        return times

    def _errors(self) -> Json | None:
        errors = self.state.facts.get("errors") or []
        if not errors and self.status is BatchStatus.FAILED and (error := self.job.state.error):
            shown = {name: error.get(name) for name in ("code", "message", "param")}
            errors = [{**shown, "line": None}]
        return {"object": "list", "data": errors} if errors else None
