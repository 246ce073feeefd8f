"""The jobs that were put off because their owners have enough running ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from wrapper.services.jobs.job import JobView

# Seconds until a job is tried again. More jobs of an owner wait longer, so that this many are tried
# in that time.
DEFER = 1.0
AT_ONCE = 20


class DeferredJobs:
    """Remembers which jobs this process has put off, until when. Threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, dict[str, tuple[float, JobView]]] = {}  # by owner and id

    def add(self, view: JobView) -> float | None:
        """Put off a job, and return for how many seconds; None if it is put off already."""
        now, id_ = self._clock(), view.job.id
        with self._lock:
            own = self._jobs.get(view.job.owner, {})
            own = {other: entry for other, entry in own.items() if entry[0] > now}
            self._jobs[view.job.owner] = own
            if id_ in own:
                return None
            after = DEFER * (1 + len(own) / AT_ONCE)
            own[id_] = (now + after, view)
        return after

    def pop(self, owner: str) -> JobView | None:
        """Return the job of the owner that was put off first, to be tried at once."""
        with self._lock:
            own = self._jobs.get(owner, {})
            if not own:
                self._jobs.pop(owner, None)
                return None
            return own.pop(next(iter(own)))[1]
