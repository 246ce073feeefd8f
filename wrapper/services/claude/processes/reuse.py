"""The reuse of processes: parks them after a turn, cleared if need be, for later turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from wrapper.services.background.threads import Threads
from wrapper.services.claude.processes.clearings import Clearings
from wrapper.services.claude.processes.parking import (
    ParkedProcess,
    Parking,
    ParkingLimits,
    fingerprint,
)
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.recycling import Recycling, forgets, may_continue
from wrapper.services.claude.processes.state import CLEAR_SECONDS, ProcessState
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.turn import Turn
from wrapper.settings import Settings

CLEARING_THREADS = 8


class Reuse:
    """Takes processes from `parking`, and puts into it those that another turn may run on.

    It clears them in the background once *is_idle* says that no turn starts, and stops them by
    *supervisor*. A turn waits at most *patience* seconds until one is cleared.
    """

    def __init__(
        self,
        settings: Settings,
        supervisor: Supervisor,
        is_idle: Callable[[], bool],
        patience: float = CLEAR_SECONDS,
    ):
        self._discard = supervisor.discard
        self._patience = patience
        # Turns wait for them, so they do not wait for stops and removals.
        self._threads = Threads(CLEARING_THREADS, "claude-clear")
        self._clearings = Clearings(self._threads.submit, is_idle)
        self._recycling = Recycling(settings)
        max_rss = settings.parked_max_rss * 1024**2
        self.parking = Parking(
            ParkingLimits(settings.max_parked, settings.parked_idle, max_rss),
            discard=self._discard,
        )

    async def take(self, turn: Turn, workspace: str | None) -> ParkedProcess | None:
        """Return a parked process that is ready for *turn*, cleared if it has to be.

        One that is not cleared in time is stopped.
        """
        parked = self.parking.take(turn, workspace)
        if parked and not parked.continues(turn):
            parked = replace(parked, clearing=self._clearings.add(parked.process, parked.state))
        if parked is None or parked.clearing is None:
            return parked
        state = None
        try:
            self._clearings.begin(parked.clearing)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    state = await asyncio.wrap_future(parked.clearing)
        finally:
            if state is None:
                parked.discard(self._discard)
        return replace(parked, state=state) if state else None

    def park(
        self,
        turn: Turn,
        process: Process,
        workspace: str | None,
        state: ProcessState | None,
        limit: int,
    ) -> None:
        """Park the process for the next turn that can use it, or stop it.

        *state* is the process's after *turn*, None if no other turn may run on it. No more than
        *limit* processes stay parked.
        """
        cleared = None
        try:
            recyclable = state is not None and self._recycling.permits(turn, process, state)
            if state is None or not (recyclable or may_continue(turn)):
                self._discard(process)
                return
            if forgets(turn, recyclable=recyclable):
                state = replace(state, known=())
                cleared = self._clearings.add(process, state)
            kept, now = fingerprint(turn, workspace), time.monotonic()
            self.parking.park(
                ParkedProcess(turn.session, process, kept, state, cleared, now, recyclable), limit
            )
        except BaseException:
            if cleared:
                cleared.cancel()  # it would use a process that has been stopped
            self._discard(process)
            raise

    def catch_up(self) -> None:
        """Begin the clearings that wait, unless a turn starts."""
        self._clearings.catch_up()

    def close(self) -> None:
        """Stop the parked processes."""
        self.parking.close()
        self._threads.shutdown(wait=False)
