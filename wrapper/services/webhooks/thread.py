"""The thread that runs a dispatcher in an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from wrapper.services.webhooks.dispatcher import (
    CLOSE_SECONDS,
    MOST_AT_ONCE,
    RETRY_SECONDS,
    Dispatcher,
)

log = logging.getLogger(__name__)


class DispatcherThread:
    """Runs *dispatcher* between `start` and `close`. Both may be called again, in any thread."""

    def __init__(self, dispatcher: Dispatcher):
        self._dispatcher = dispatcher
        self._lock = threading.Lock()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the thread, unless it runs or was closed. Raises RuntimeError if there is none."""
        with self._lock:
            if self._thread is None and not self._closing:
                thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
                thread.start()
                self._thread = thread

    def wake(self) -> None:
        """Make the dispatcher look at once for what there is to do."""
        if loop := self._loop:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(self._dispatcher.woken.set)

    def close(self) -> None:
        """Stop the dispatcher, and wait until it has stored what is left."""
        with self._lock:
            self._closing = True
        self.wake()
        if self._thread:
            self._thread.join(3 * CLOSE_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            # Names are resolved in threads. A slow name server must not take all of them.
            self._loop.set_default_executor(ThreadPoolExecutor(MOST_AT_ONCE))
            runner.run(self._main())

    async def _main(self) -> None:
        dispatcher = self._dispatcher
        while not self._closing:
            dispatcher.woken.clear()
            seconds = self._step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await dispatcher.woken.wait()
        await dispatcher.end()

    def _step(self) -> float:
        try:
            return self._dispatcher.step()
        except Exception:  # the next step may succeed
            log.exception("webhooks wait")
            return RETRY_SECONDS
