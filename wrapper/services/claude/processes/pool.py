"""The pool: warm processes of one profile, booted before anyone asks for them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Protocol

from wrapper.errors import ApiError, BadGateway, Unavailable
from wrapper.services.claude.errors import BootFailed, Refused
from wrapper.services.claude.processes.process import Process

FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0

log = logging.getLogger(__name__)


class Later(Protocol):
    """Calls a function after some seconds, in another thread."""

    def __call__(self, seconds: float, function: Callable[[], None]) -> None: ...


def later(seconds: float, function: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


class Pool:
    """Keeps *size* processes ready and boots one for each further turn that waits.

    *boot* returns a process that is up; it runs in *booters*, whose threads bound how many boot
    at once. *stop* ends one, in the background. After each failed boot the next waits longer.
    """

    def __init__(
        self,
        size: int,
        *,
        boot: Callable[[], Process],
        stop: Callable[[Process], None],
        booters: Executor,
        refused: Callable[[str], None] = lambda reason: None,
        later: Later = later,
    ):
        self._size = size
        self._boot = boot
        self._stop = stop
        self._booters = booters
        self._on_refused = refused
        self._later = later
        self._lock = threading.Lock()
        self._ready: deque[Process] = deque()
        self._waiting: deque[Future[Process]] = deque()
        self._booting = 0
        self._failures = 0
        self._pausing = False
        self._closed = False
        self._error: ApiError | None = None
        self._refusal = False

    def fill(self) -> None:
        """Boot what is missing, in the background."""
        with self._lock:
            if self._closed or self._pausing or self._refusal:
                return
            wanted = self._size + len(self._waiting) - len(self._ready) - self._booting
            self._booting += max(0, wanted)
        for _ in range(wanted):
            try:
                self._booters.submit(self._boot_one)
            except RuntimeError:  # no thread can be had; when the interpreter ends, never again
                self._fail(Unavailable("No Claude Code process can be started: no thread is left."))

    def lease(self) -> Future[Process]:
        """Return a process to come: at once where one is ready. Cancel it to give up waiting.

        The future raises an ApiError where no process can be had. A leased one is not given back;
        its replacement is booted at the next `fill`, which can wait until it is not in the way.
        """
        future: Future[Process] = Future()
        with self._lock:
            process = self._take()
            if process is None:
                self._queue(future)
        if process:
            future.set_running_or_notify_cancel()
            future.set_result(process)
        else:
            self.fill()
        return future

    def awaited(self) -> bool:
        """Say whether someone waits for a process."""
        return bool(self._waiting)

    def health(self) -> dict[str, Any]:
        """Return `status` (ready, booting, failing), the counts, and the last boot's error."""
        self._replace_dead()
        with self._lock:
            ready = len(self._ready)
            status = "failing" if self._error else "booting" if self._size else "ready"
            status = "ready" if ready else status
            report = {"status": status, "ready": ready, "booting": self._booting}
            return {**report, "error": self._error.message} if self._error else report

    def close(self) -> None:
        """Stop what is ready and refuse what waits; boots under way end by themselves."""
        with self._lock:
            self._closed = True
            ready, self._ready = list(self._ready), deque()
            waiting, self._waiting = list(self._waiting), deque()
        for future in waiting:
            _fail(future, Unavailable("The gateway is shutting down."))
        for process in ready:
            self._stop(process)

    def _replace_dead(self) -> None:
        """Drop ready processes that have died meanwhile, and boot others for them."""
        with self._lock:
            dead = [process for process in self._ready if process.exit_code() is not None]
            for process in dead:
                self._ready.remove(process)
        for process in dead:
            self._stop(process)
        if dead:
            self.fill()

    def _take(self) -> Process | None:
        """Return a ready process that is alive; one that died or spoke meanwhile is dropped."""
        while self._ready:
            process = self._ready.popleft()
            if process.alive_and_silent():
                return process
            self._stop(process)
        return None

    def _queue(self, future: Future[Process]) -> None:
        if self._closed:
            future.set_exception(Unavailable("The gateway is shutting down."))
        elif self._error and self._hopeless():
            future.set_exception(self._error)
        else:
            self._waiting.append(future)

    def _hopeless(self) -> bool:
        """Say whether who waits may wait long: a single failed boot is soon made good."""
        return self._refusal or (self._failures > 1 and not self._booting)

    def _boot_one(self) -> None:
        try:
            process = self._boot()
        except Refused as error:
            self._refuse(str(error))
        except BootFailed as error:
            self._fail(Unavailable(f"No Claude Code process could be started: {error}"))
        except ApiError as error:
            self._fail(error)
        except Exception:
            log.exception("a boot failed in an unforeseen way")
            self._fail(BadGateway("No Claude Code process could be started; see the log."))
        else:
            self._welcome(process)

    def _welcome(self, process: Process) -> None:
        with self._lock:
            self._booting -= 1
            over = self._closed or self._refusal
            if not over:
                self._failures, self._error = 0, None
            future = None if over else self._next_waiting()
            surplus = over or (future is None and len(self._ready) >= self._size)
            if future is None and not surplus:
                self._ready.append(process)
        if future:
            future.set_result(process)
        elif surplus:
            self._stop(process)
        self.fill()

    def _next_waiting(self) -> Future[Process] | None:
        while self._waiting:
            future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                return future
        return None

    def _fail(self, error: ApiError) -> None:
        with self._lock:
            self._booting -= 1
            # Boots that fail together are one failure, and there is one pause for all of them:
            # else a large pool would soon wait for long, and not see when all is well again.
            self._failures += not self._pausing
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self._failures, 10))
            error.retry_after = max(1, round(delay))
            self._error = error
            pause, self._pausing = not self._pausing and not self._closed, True
            waiting: list[Future[Process]] = []
            if self._hopeless():
                waiting, self._waiting = list(self._waiting), deque()
        if not self._closed:
            log.error("%s (next try in %.1f s)", error.message, delay)
        for future in waiting:
            _fail(future, error)
        if pause:
            try:
                self._later(delay, self._resume)
            except RuntimeError:  # no thread to wait in: whoever comes next tries again
                self._end_pause()

    def _resume(self) -> None:
        self._end_pause()
        self.fill()

    def _end_pause(self) -> None:
        with self._lock:
            self._pausing = False

    def _refuse(self, reason: str) -> None:
        """Serve no turn any more: what was wrong with this process is wrong with all."""
        with self._lock:
            self._booting -= 1
            self._refusal = True
            error = self._error = BadGateway(reason, retry=False)
            waiting, self._waiting = list(self._waiting), deque()
            ready, self._ready = list(self._ready), deque()
        log.critical("%s", reason)
        for process in ready:
            self._stop(process)
        for future in waiting:
            _fail(future, error)
        self._on_refused(reason)


def _fail(future: Future[Process], error: ApiError) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
