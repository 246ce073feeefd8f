"""The gate: how many turns may be on their way to the model at once."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager


class Throttle:
    """Lets *width* through at once, in the order in which they came, for *seconds* at most.

    Until its request is out a turn takes all the CPU time that it can get. More of them at once
    than there are cores would only all be later; and so would each beside a process that boots.
    """

    def __init__(self, width: int, seconds: float):
        self._seconds = seconds
        self._free = width
        self._width = width
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[Callable[[], None]]:
        """Wait to be let through, and yield what says that one is; leaving says so, too."""
        done = await self._enter()
        try:
            yield done
        finally:
            done()

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
            if not future.cancel():  # it was let through just then
                self._leave()
            raise

        def leave() -> None:
            if not late.cancelled():
                late.cancel()
                self._leave()

        late = asyncio.get_running_loop().call_later(self._seconds, leave)
        return leave

    def idle(self) -> bool:
        """Say whether nobody is in it."""
        return self._free == self._width

    def _leave(self) -> None:
        with self._lock:
            while self._waiting:
                future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_result(None)
                    return
            self._free += 1
