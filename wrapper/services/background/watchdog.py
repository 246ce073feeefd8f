"""End a turn when its client has left, its time is up or the gateway shuts down."""

from __future__ import annotations

from collections.abc import Callable

from wrapper.errors import ClientGone, TimedOut, Unavailable

CHECK_SECONDS = 0.25


class Watchdog:
    """Watches one request, which has just been checked.

    It calls *gone* and *draining* at most every CHECK_SECONDS; *gone* may raise another reason to
    end the turn. *setting* is that of the *limit*, in seconds. While the watchdog is paused, the
    limit does not run.
    """

    def __init__(
        self,
        *,
        gone: Callable[[], bool],
        draining: Callable[[], bool],
        limit: float,
        grace: float,
        clock: Callable[[], float],
        setting: str = "MAX_TIMEOUT",
    ):
        self._gone = gone
        self._draining = draining
        self._clock = clock
        self._too_long = f"The turn took longer than {limit:g} s ({setting}) and was ended."
        self._grace = grace
        self._deadline = clock() + limit
        self._due = clock() + CHECK_SECONDS
        self._drain_deadline: float | None = None
        self._pauses = 0
        self._paused_at = 0.0

    def pause(self) -> None:
        """Stop the time limit, until each pause has been followed by a resume."""
        if not self._pauses:
            self._paused_at = self._clock()
        self._pauses += 1

    def resume(self) -> None:
        """Let the time limit run on, where it was stopped."""
        self._pauses -= 1
        if not self._pauses:
            self._deadline += self._clock() - self._paused_at

    def check(self) -> None:
        """Raise ClientGone, TimedOut or Unavailable if the turn has to end."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + CHECK_SECONDS
        if self._gone():
            raise ClientGone("The client closed the connection.")
        if now >= self._deadline and not self._pauses:
            raise TimedOut(self._too_long, retry=False)
        self._check_drain(now)

    def _check_drain(self, now: float) -> None:
        if self._drain_deadline is None:
            if self._draining():
                self._drain_deadline = now + self._grace
        elif now >= self._drain_deadline:
            raise Unavailable("The gateway is shutting down; the turn was ended.", retry=False)
