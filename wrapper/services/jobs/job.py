"""A job: work that a caller has handed over, and its state."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum

from wrapper.json_text import Json


class JobStatus(StrEnum):
    """The status of a job, as OpenAI names those of background responses."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Job:
    """What is known of a job from its beginning.

    `owner` is the name of the principal. The job is kept for `ttl` seconds after its end.

    A job that `resumes` is done in parts: a run may put it back into the queue, several workers may
    run it at once, and another worker goes on if one dies. Such jobs come behind all others. Any
    other job begins at most once.
    """

    id: str
    kind: str
    owner: str
    ttl: int
    resumes: bool = False
    created_at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class JobContent:
    """What a job is to do, and what its owner is shown of it.

    Only the run reads the `request`, which is kept until the job ends. The `summary` is kept as
    long as the job.
    """

    request: bytes = field(default=b"", repr=False)
    summary: bytes = field(default=b"", repr=False)

    @property
    def size(self) -> int:
        return len(self.request) + len(self.summary)


@dataclass(frozen=True)
class JobState:
    """The state of a job. `worker` is the process that began it last, and `error` why it failed.

    `cancel_requested` says that it is to end as soon as its run notices.
    """

    status: JobStatus = JobStatus.QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    cancel_requested: bool = False
    worker: str = ""
    error: Json | None = None


@dataclass(frozen=True)
class JobView:
    """A job with its state at some time, and with its priority in the queue if it waits there."""

    job: Job
    state: JobState
    priority: float | None = None

    @property
    def ended(self) -> bool:
        return self.state.ended_at is not None

    @property
    def in_progress(self) -> bool:
        return not self.ended and self.priority is None
