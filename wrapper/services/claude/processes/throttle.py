"""Limit how many turns are on their way to the model at once."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager


class Throttle:
    """Lets *width* turns through at once, in the order in which they came.

    Until its request is sent a turn uses all the CPU time that it can get, so more turns than
    cores would only slow each other down, and so would a process that boots meanwhile. A turn that
    has not left after *seconds* no longer counts.
    """

    def __init__(self, width: int, seconds: float):
        self._width = width
        self._seconds = seconds
        self._free = width
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Callable[[], None]]:
        """Wait for a slot, hold it inside the context, and yield a function that frees it early."""
        free = await self._enter()
        try:
            yield free
        finally:
            free()

    async def _enter(self) -> Callable[[], None]:
        future: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                future.set_result(None)
            else:
                self._waiting.append(future)
        try:
            await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel():  # it got a slot just before
                self._leave()
            raise

        def leave() -> None:
            if not timer.cancelled():
                timer.cancel()
                self._leave()

        timer = asyncio.get_running_loop().call_later(self._seconds, leave)
        return leave

    def idle(self) -> bool:
        """Say whether no turn holds a slot."""
        return self._free == self._width

    def _leave(self) -> None:
        with self._lock:
            while self._waiting:
                future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_result(None)
                    return
            self._free += 1
