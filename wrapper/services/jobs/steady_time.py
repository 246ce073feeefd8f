"""The time for which other workers could say that they live."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds by which the time of day may differ from the time that has passed, between two looks.
JUMP = 5.0


class SteadyTime:
    """Counts the seconds since the store was away, or the time of day jumped.

    Leases end at a time of day. After a jump, as where a machine has slept, those of all workers
    seem to be over, until each worker renews its own.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
    ):
        self._clock = clock
        self._time_of_day = time_of_day
        self._since: float | None = None
        self._difference = 0.0

    def restart(self) -> None:
        """Begin anew, at the next look."""
        self._since = None

    def seconds(self) -> float:
        """Return how long the time was steady."""
        now = self._clock()
        difference = self._time_of_day() - now
        if self._since is None or abs(difference - self._difference) > JUMP:
            self._since = now
        self._difference = difference
        return now - self._since
