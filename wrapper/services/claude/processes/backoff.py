"""What follows failed boots: a pause, which doubles with each failure in a row, and a log line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from wrapper.errors import ApiError

FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
# The time after which the same failure is logged again.
LOG_SECONDS = 60.0

log = logging.getLogger(__name__)


class Backoff:
    """Counts failed boots. It has no lock of its own: its pool's is held at each call.

    `error` is the last failure while no boot has succeeded since. `paused` says that no boot may
    begin, and `refused` that none ever will.
    """

    def __init__(self) -> None:
        self.error: ApiError | None = None
        self.paused = False
        self.refused = False
        self._failures = 0

    def fail(self, error: ApiError) -> tuple[ApiError, float]:
        """Count a failure and return the error to raise for it, and the seconds to pause.

        Boots that fail during a pause are one failure together. Otherwise a large pool would soon
        pause for long, and notice late that boots succeed again.
        """
        self._failures += not self.paused
        delay: float = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self._failures, 10))
        self.error = error = error.replace(retry_after=max(1, round(delay)))
        self.paused = True
        return error, delay

    def refuse(self, error: ApiError) -> None:
        """Take note that no process of this Claude Code may serve."""
        self.refused = True
        self.error = error

    def succeed(self) -> None:
        """Forget all failures."""
        self._failures, self.error = 0, None

    def is_hopeless(self, booting: int) -> bool:
        """Say whether a turn may wait long while *booting* boots are under way.

        It need not after a single failure, since the next boot follows soon, and after a pause,
        since its own boot begins at once.
        """
        return self.refused or (self._failures > 1 and self.paused and not booting)


class FailureLog:
    """Logs why boots fail, each reason once in LOG_SECONDS, since processes mostly fail alike.

    All pools of a gateway share it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}

    def report(self, reason: str) -> None:
        """Log the *reason*, unless it was logged a short time ago."""
        now = self._clock()
        with self._lock:
            recent = {why: at for why, at in self._logged.items() if now - at < LOG_SECONDS}
            self._logged = {reason: now, **recent}
        if reason not in recent:
            log.error("%s", reason)
