"""The protocol of a store of jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wrapper.json_text import Json
from wrapper.services.jobs.job import Job, JobContent, JobStatus, JobView
from wrapper.services.listing import Key

# Jobs that resume have priorities below those of all others.
RESUMING = 1e12
# Ends are reported for so many seconds at most, and so many in one step.
UNREPORTED_TTL, REPORT_AT_ONCE = 3 * 86400.0, 100


@dataclass(frozen=True)
class Counts:
    """How many jobs of a kind wait in the queue, and how many are in progress."""

    waiting: int = 0
    running: int = 0


@dataclass(frozen=True)
class Room:
    """How many `jobs` of an owner may be kept, and how many `bytes` their contents may have."""

    jobs: int
    bytes: int


def priority(rank: float, *, resumes: bool) -> float:
    """Return the priority of a job; the queue hands out the highest one first."""
    return -(rank + (RESUMING if resumes else 0))


class JobStore(Protocol):
    """Keeps jobs. Threads and processes may share it. All methods may raise Unavailable.

    A job that waits has a rank: one more than that of its owner's job before it, or than that of
    the last job that began, whichever is greater. So owners take turns, however many jobs each has.

    Each step is atomic. A step that another process was faster to take returns None or False.
    """

    def add(self, job: Job, content: JobContent, room: Room) -> float | None:
        """Store a new job that waits, and return its priority.

        Returns None if the kept jobs of its owner, which wait, run or have ended, leave no *room*.
        """
        ...

    def find(self, id_: str) -> JobView | None:
        """Return a job, without reading its content."""
        ...

    def request(self, id_: str) -> bytes | None:
        """Return the request of a job that has not ended."""
        ...

    def summary(self, id_: str) -> bytes | None:
        """Return the summary of a job."""
        ...

    def ids(self, owner: str) -> Sequence[str]:
        """Return the ids of the owner's jobs, the newest first."""
        ...

    def keys(self, most: int) -> Sequence[Key]:
        """Return owners and ids of so many jobs of all owners at most, the newest first."""
        ...

    def begin(self, id_: str, worker: str, until: float) -> JobContent | None:
        """Give a job that waits to *worker*, which lives until then unless it says otherwise."""
        ...

    def put_back(self, id_: str) -> float | None:
        """Let a job in progress wait again, and return its priority."""
        ...

    def end(self, id_: str, status: JobStatus, error: Json | None = None) -> JobView | None:
        """End a job that has not ended, and drop its request."""
        ...

    def cancel(self, id_: str) -> JobView | None:
        """End a job that has not begun, or ask the one in progress to end."""
        ...

    def unreported(self, seconds: float) -> Sequence[JobView]:
        """Return jobs that ended so long ago and are not marked as reported, the oldest first.

        There may be more than it returns.
        """
        ...

    def mark_reported(self, id_: str) -> bool:
        """Mark the end of a job as reported, and say whether it was not."""
        ...

    def delete(self, id_: str) -> bool: ...

    def stopped(self, ids: Collection[str]) -> set[str]:
        """Return those of *ids* whose runs are to end: cancelled, ended, or deleted."""
        ...

    def beat(self, worker: str, until: float) -> None:
        """Say that *worker* lives until then. A time in the past says that it has ended."""
        ...

    def alive(self, worker: str) -> bool: ...

    def orphans(self) -> Sequence[JobView]:
        """Return the jobs in progress that no living worker runs, and that do not wait."""
        ...

    def waiting(self) -> Mapping[str, float]:
        """Return the jobs that wait, with their priorities."""
        ...

    def counts(self) -> Mapping[str, Counts]:
        """Return how many jobs there are, by kind."""
        ...

    def expire(self) -> None:
        """Forget the jobs whose time to live is over, and workers that have ended."""
        ...

    def exists(self) -> bool:
        """Say whether there may be any job, without opening what is not there."""
        ...

    def health(self) -> dict[str, Any]:
        """Return the state that was seen last."""
        ...

    def close(self) -> None: ...
