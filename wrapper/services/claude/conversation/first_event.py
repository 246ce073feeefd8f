"""The wait for a turn's first event, which has a limit of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context


class FirstEventWait:
    """Ends a turn by its *deadline* if it *has_begun* in none of the next *seconds*.

    While the turn *works*, before the model is asked, the time starts anew. `is_over` says that the
    turn was ended. It must be cancelled; zero seconds are no limit.
    """

    def __init__(
        self,
        seconds: float,
        deadline: asyncio.Timeout,
        *,
        has_begun: Callable[[], bool],
        works: Callable[[], bool],
    ):
        self._seconds = seconds
        self._deadline = deadline
        self._has_begun = has_begun
        self._works = works
        self._alarm: asyncio.TimerHandle | None = None
        self.is_over = False
        if seconds:
            self._start()

    def cancel(self) -> None:
        if self._alarm:
            self._alarm.cancel()

    def _start(self) -> None:
        # The event loop keeps the alarm's context after the request.
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(self._seconds, self._check, context=Context())

    def _check(self) -> None:
        if self._has_begun() or self._deadline.when() is not None:
            return
        if self._works():
            self._start()
            return
        self.is_over = True
        self._deadline.reschedule(asyncio.get_running_loop().time())
