"""The pool of warm processes of one profile, which are booted before a turn needs them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol

from wrapper.errors import ApiError, BadGateway, Unavailable
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.claude.errors.engine_errors import BootFailed, Refused
from wrapper.services.claude.processes.backoff import Backoff, FailureLog
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.waiting import WaitingTurns

NO_THREAD = "No Claude Code process can be started: no thread is left."

log = logging.getLogger(__name__)


class Later(Protocol):
    """Calls a function after some seconds, in another thread."""

    def __call__(self, seconds: float, function: Callable[[], None]) -> None: ...


def later(seconds: float, function: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


@dataclass(frozen=True)
class Spawner:
    """How a pool gets and ends its processes.

    `boot` returns a booted process. It runs in `threads`, whose number limits how many boot at
    once. `stop` ends a process in the background. `log` logs why boots fail.
    """

    boot: Callable[[], Process]
    stop: Callable[[Process], None]
    threads: Executor
    log: FailureLog


class Pool:
    """Keeps *size* processes ready, and boots one for each further turn that waits.

    Turns in the background come after all others, and leave the last one that is ready to them.
    After each failed boot it pauses longer. If this Claude Code must not serve, it tells the
    *lifecycle* why.
    """

    def __init__(
        self,
        size: int,
        spawner: Spawner,
        lifecycle: Lifecycle,
        later: Later = later,
    ):
        self._size = size
        self._spawner = spawner
        self._lifecycle = lifecycle
        self._later = later
        self._lock = threading.Lock()
        self._ready: deque[Process] = deque()
        self._waiting: WaitingTurns[Process] = WaitingTurns()
        self._booting = 0
        self._backoff = Backoff()
        self._closed = False

    def fill(self) -> None:
        """Boot the missing processes in the background."""
        with self._lock:
            if self._closed or self._backoff.paused or self._backoff.refused:
                return
            missing = self._missing()
            self._booting += max(0, missing)
        for _ in range(missing):
            try:
                self._spawner.threads.submit(self._boot)
            except RuntimeError:  # no thread can start; while the interpreter ends, none ever will
                self._fail(Unavailable(NO_THREAD))

    def lease(self, *, background: bool = False) -> Future[Process]:
        """Return a future process, done at once if one is ready. Cancel it to stop waiting.

        The future raises an ApiError if there is no process. A leased process does not come back:
        the next `fill` replaces it, which can wait until the turn no longer needs the CPU.
        """
        future: Future[Process] = Future()
        with self._lock:
            process = self._take(spare=self._spare(background))
            if process is None:
                self._enqueue(future, background)
        if process:
            future.set_running_or_notify_cancel()
            future.set_result(process)
        else:
            self.fill()
        return future

    def has_waiting(self) -> bool:
        """Say whether a turn waits for a process."""
        return bool(self._waiting)

    def health(self) -> dict[str, Any]:
        """Return `status` (ready, booting, failing), the counts, and the last boot's error."""
        self._replace_dead()
        with self._lock:
            ready, error = len(self._ready), self._backoff.error
            status = "failing" if error else "booting" if self._size else "ready"
            status = "ready" if ready else status
            report = {"status": status, "ready": ready, "booting": self._booting}
            return {**report, "error": error.message} if error else report

    def close(self) -> None:
        """Stop ready processes and fail waiting turns. Boots under way end by themselves."""
        with self._lock:
            self._closed = True
            ready, self._ready = list(self._ready), deque()
            waiting = self._waiting.clear()
        _fail_all(waiting, Unavailable("The gateway is shutting down."))
        for process in ready:
            self._spawner.stop(process)

    def _replace_dead(self) -> None:
        """Stop ready processes that have died, and boot others instead."""
        with self._lock:
            dead = [process for process in self._ready if process.exit_code() is not None]
            for process in dead:
                self._ready.remove(process)
        for process in dead:
            self._spawner.stop(process)
        if dead:
            self.fill()

    def _spare(self, background: bool) -> int:
        """Return how many ready processes a turn leaves to others."""
        return 1 if background and self._size else 0

    def _take(self, spare: int) -> Process | None:
        """Return a ready process; stop those that have died or written something unasked."""
        while len(self._ready) > spare:
            process = self._ready.popleft()
            if process.alive_and_silent():
                return process
            self._spawner.stop(process)
        return None

    def _enqueue(self, future: Future[Process], background: bool) -> None:
        error = self._backoff.error
        if self._closed:
            future.set_exception(Unavailable("The gateway is shutting down."))
        elif error and self._backoff.is_hopeless(self._booting):
            future.set_exception(error)
        else:
            self._waiting.add(future, background=background)

    def _boot(self) -> None:
        if not self._is_needed():
            return
        try:
            process = self._spawner.boot()
        except Refused as error:
            self._refuse(str(error))
        except BootFailed as error:
            self._fail(unavailable(error))
        except Exception:
            log.exception("a boot failed unexpectedly")
            self._fail(BadGateway("No Claude Code process could be started; see the log."))
        else:
            self._add(process)

    def _is_needed(self) -> bool:
        """Say whether the boot that is about to begin is, as a turn may have stopped waiting."""
        with self._lock:
            needed = self._missing() >= 0
            self._booting -= not needed
        return needed

    def _missing(self) -> int:
        """Return how many more boots are needed; below zero if too many are to come."""
        return self._size + len(self._waiting) - len(self._ready) - self._booting

    def _add(self, process: Process) -> None:
        """Give a booted process to the next turn that waits, keep it, or stop it."""
        with self._lock:
            self._booting -= 1
            over = self._closed or self._backoff.refused
            if not over:
                self._backoff.succeed()
            future = None if over else self._next_waiting()
            surplus = over or (future is None and len(self._ready) >= self._size)
            if future is None and not surplus:
                self._ready.append(process)
        if future:
            future.set_result(process)
        elif surplus:
            self._spawner.stop(process)
        self.fill()

    def _next_waiting(self) -> Future[Process] | None:
        """Return the next turn that a process which has booted may go to."""
        future = self._waiting.pop(background=False)
        if future is None and len(self._ready) >= self._spare(background=True):
            future = self._waiting.pop(background=True)
        return future

    def _fail(self, error: ApiError) -> None:
        """Pause after a failed boot, and fail the waiting turns if they might wait long."""
        with self._lock:
            self._booting -= 1
            begins_pause = not self._backoff.paused and not self._closed
            error, delay = self._backoff.fail(error)
            waiting: list[Future[Process]] = []
            if self._backoff.is_hopeless(self._booting):
                waiting = self._waiting.clear()
        if not self._closed:
            self._spawner.log.report(error.details or error.message)
        _fail_all(waiting, error)
        if begins_pause:
            try:
                self._later(delay, self._resume)
            except RuntimeError:  # no thread can start for the pause: the next turn tries again
                self._end_pause()

    def _resume(self) -> None:
        self._end_pause()
        self.fill()

    def _end_pause(self) -> None:
        with self._lock:
            self._backoff.paused = False

    def _refuse(self, reason: str) -> None:
        """Serve no more turns: what is wrong with this process is wrong with all of them."""
        error = BadGateway(reason, retry=False)
        with self._lock:
            self._booting -= 1
            self._backoff.refuse(error)
            waiting = self._waiting.clear()
            ready, self._ready = list(self._ready), deque()
        for process in ready:
            self._spawner.stop(process)
        _fail_all(waiting, error)
        self._lifecycle.refuse(reason)


def unavailable(error: BootFailed) -> Unavailable:
    """Return the error for a turn that gets no process. Only its details have local paths."""
    what = "No Claude Code process could be started:"
    return Unavailable(f"{what} {error.reason}", details=f"{what} {error}")


def _fail_all(waiting: list[Future[Process]], error: ApiError) -> None:
    for future in waiting:
        future.set_exception(error)
