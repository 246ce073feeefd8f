"""Limit how many turns are on their way to the model at once."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial

from wrapper.services.claude.processes.waiting import WaitingTurns

# From Claude Code's word that it sends a request until it has built it and sends it: 8 to 19 ms of
# CPU time.
SENDING_SECONDS = 0.015
# For so long after a turn for which somebody waits its client's next one may follow.
SPARE_SECONDS = 0.1
# Meanwhile a turn in the background begins so often, for each core but one.
PACE_SECONDS = 0.1
# How often a turn that waits looks whether it may begin, as no turn may be there to let it, and the
# event loop of a turn that was let in may stand still while its client reads nothing.
LOOK_SECONDS = 0.5


class Slot:
    """A turn's slot, which *leave* gives to the next turn: after *seconds*, or once it is freed."""

    def __init__(self, leave: Callable[[], None], seconds: float):
        self._leave = leave
        self._timer: asyncio.TimerHandle | None = self._free_in(seconds)

    def free(self) -> None:
        """Free the slot; doing so twice is harmless."""
        timer, self._timer = self._timer, None
        if timer:
            timer.cancel()
            self._leave()

    def free_soon(self, seconds: float = SENDING_SECONDS) -> None:
        """Free the slot once the turn's request, which Claude Code is about to send, is sent."""
        if self._timer:
            self._timer.cancel()
            self._timer = self._free_in(seconds)

    def _free_in(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self.free)


class Throttle:
    """Lets *width* turns through at once, in the order in which they came.

    Turns in the background, for which nobody waits, come after all others and take no slot from
    them: as many others get through as if there were none. While others get through, and for
    SPARE_SECONDS after them, one slot stays free, so that those have a core for themselves, and
    turns in the background begin one by one, as each leaves more work behind.

    Until its request is sent a turn uses all the CPU time that it can get, so more turns than
    cores would only slow each other down, and so would a process that boots meanwhile. A turn that
    has not left after *seconds*, or *seconds_in_background*, no longer counts.
    """

    def __init__(
        self,
        width: int,
        seconds: float,
        seconds_in_background: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._width = width
        self._clock = clock
        self._spare_until = -math.inf
        self._last_in_background = -math.inf
        self._pace = PACE_SECONDS / max(1, width - 1)
        self._seconds = {False: seconds, True: seconds_in_background}
        # For each turn, whether it is in the background, and when it no longer counts.
        self._inside: dict[Future[None], tuple[bool, float]] = {}
        self._waiting: WaitingTurns[None] = WaitingTurns()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def slot(self, *, background: bool = False) -> AsyncIterator[Slot]:
        """Wait for a slot, and hold it inside the context unless it is freed before."""
        slot = await self._enter(background)
        try:
            yield slot
        finally:
            slot.free()

    async def _enter(self, background: bool) -> Slot:
        future: Future[None] = Future()
        leave = partial(self._leave, future)
        with self._lock:
            self._waiting.add(future, background=background)
            self._serve()
        try:
            await self._wait(future)
        except asyncio.CancelledError:
            if not future.cancel():  # it got a slot just before
                leave()
            raise
        return Slot(leave, self._seconds[background])

    async def _wait(self, future: Future[None]) -> None:
        admission = asyncio.wrap_future(future)
        while not future.done():
            await asyncio.wait([admission], timeout=LOOK_SECONDS)
            with self._lock:
                self._serve()
        await admission

    def idle(self) -> bool:
        """Say whether no turn holds a slot but those in the background."""
        with self._lock:
            self._expire()
            return not self._awaited()

    def _awaited(self) -> int:
        """Return how many turns are inside for which somebody waits."""
        return sum(not background for background, _ in self._inside.values())

    def _leave(self, future: Future[None]) -> None:
        with self._lock:
            self._remove(future)
            self._serve()

    def _remove(self, future: Future[None]) -> None:
        background, _ = self._inside.pop(future, (True, 0.0))
        if not background:
            self._spare_until = self._clock() + SPARE_SECONDS

    def _expire(self) -> None:
        now = self._clock()
        for future, (_, until) in list(self._inside.items()):
            if until <= now:
                self._remove(future)

    def _serve(self) -> None:
        self._expire()
        while self._awaited() < self._width and self._let_in(background=False):
            pass
        while self._has_room_in_background() and self._let_in(background=True):
            self._last_in_background = self._clock()

    def _has_room_in_background(self) -> bool:
        now, inside = self._clock(), len(self._inside)
        if not self._awaited() and now >= self._spare_until:
            return inside < self._width
        is_time = now - self._last_in_background >= self._pace
        return is_time and inside < max(1, self._width - 1)

    def _let_in(self, *, background: bool) -> bool:
        """Give the next turn that waits a slot, and say whether there is one."""
        future = self._waiting.pop(background=background)
        if future:
            self._inside[future] = background, self._clock() + self._seconds[background]
            future.set_result(None)
        return future is not None
