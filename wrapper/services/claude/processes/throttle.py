"""Limit how many turns are on their way to the model at once."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager

# From Claude Code's word that it sends a request until it has built it and sends it: 8 to 19 ms of
# CPU time.
SENDING_SECONDS = 0.015


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

    Turns in the background, for which nobody waits, come after all others.

    Until its request is sent a turn uses all the CPU time that it can get, so more turns than
    cores would only slow each other down, and so would a process that boots meanwhile. A turn that
    has not left after *seconds* no longer counts.
    """

    def __init__(self, width: int, seconds: float):
        self._width = width
        self._seconds = seconds
        self._free = width
        self._waiting: deque[Future[None]] = deque()
        self._in_background: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def slot(self, *, background: bool = False) -> AsyncIterator[Slot]:
        """Wait for a slot, and hold it inside the context unless it is freed before."""
        slot = await self._enter(self._in_background if background else self._waiting)
        try:
            yield slot
        finally:
            slot.free()

    async def _enter(self, queue: deque[Future[None]]) -> Slot:
        future: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                future.set_result(None)
            else:
                queue.append(future)
        try:
            await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel():  # it got a slot just before
                self._leave()
            raise
        return Slot(self._leave, self._seconds)

    def idle(self) -> bool:
        """Say whether no turn holds a slot."""
        return self._free == self._width

    def _leave(self) -> None:
        with self._lock:
            while queue := self._waiting or self._in_background:
                future = queue.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_result(None)
                    return
            self._free += 1
