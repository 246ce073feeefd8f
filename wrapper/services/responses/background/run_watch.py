"""The watch of a run: it ends a turn that is cancelled, and keeps what the turn continues."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from wrapper.errors import TurnStopped, Unavailable
from wrapper.services.jobs.running import RunningJob
from wrapper.services.responses.response_turn import ResponseTurn

# How many times responses are used in their time to live, so that none expires.
USES = 4


class RunWatch:
    """Tells a turn, which asks often, whether to go on.

    Stored responses live *ttl* seconds after their last use. A turn may last longer, so those that
    it continues are used meanwhile; otherwise its response could not be continued.
    """

    def __init__(
        self, running: RunningJob, ttl: float, clock: Callable[[], float] = time.monotonic
    ):
        self._running = running
        self._every = ttl / USES
        self._clock = clock
        self._turn: ResponseTurn | None = None
        self._used = clock()

    def keep(self, turn: ResponseTurn) -> None:
        """Keep what *turn* continues, from now on."""
        self._turn = turn
        self._used = self._clock()

    def gone(self) -> bool:
        """Raise TurnStopped once the job is to end. No client waits who could be gone."""
        if self._running.cancelled():
            raise TurnStopped("The response in the background was cancelled.", retry=False)
        if self._turn and self._clock() - self._used >= self._every:
            self._used = self._clock()
            with suppress(Unavailable):  # then it is used next time
                self._turn.records.touch(self._turn.path)
        return False
