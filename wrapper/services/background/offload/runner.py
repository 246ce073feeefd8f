"""Run costly checks of callers' input in child processes that can be stopped.

Native code holds Python's global lock while it works, and nothing can interrupt it. In a child
process it delays no other thread, and the kernel ends it at a limit. A quick job, as nearly all
are, takes some 0.1 ms longer. A long one continues with the lowest priority once its caller gets a
slot.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from contextvars import ContextVar
from typing import Any

from wrapper.errors import Unavailable
from wrapper.services import resources
from wrapper.services.background.offload.fair_share import FairShare
from wrapper.services.background.offload.process import Child, Exceeded, ForkServer, Job

__all__ = ["Exceeded", "Job", "Offload", "caller_name", "offload"]

MOST_QUICK = 16
MOST_IDLE = 4
LONG_AT_ONCE = 2
MOST_WAITING = 16
WAIT_SECONDS = 30.0

# The caller whose request this thread works on.
caller_name: ContextVar[str] = ContextVar("caller_name", default="")


def _never() -> bool:
    return False


class Offload:
    """Runs jobs in children of a fork server, which starts with the first job."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._quick = threading.Semaphore(MOST_QUICK)
        self._long = FairShare(LONG_AT_ONCE, queue=MOST_WAITING, max_wait=WAIT_SECONDS)
        self._server: ForkServer | None = None
        self._idle: list[Child] = []

    def run(self, job: Job, gone: Callable[[], bool] = _never) -> Any:
        """Return the result of *job*.

        Raises Exceeded, ClientGone, ChecksBusy if too many long jobs wait, and Unavailable if no
        process can be started.
        """
        if job.heavy:
            with self._slot(gone), closing(self._child()) as child:
                child.begin(job)
                return child.finish(gone)
        with self._quick, ExitStack() as held:
            child = self._child()
            held.callback(child.close)
            child.begin(job)
            if child.ends_quickly():
                result = child.result(gone)
                held.pop_all()
                self._keep(child)
                return result
            child.pause()
            held.pop_all()
        with closing(child), self._slot(gone):
            return child.finish(gone)

    def start(self) -> None:
        """Start the fork server if possible, so that the first job does not wait for it."""
        with self._lock, suppress(OSError):
            self._running_server()

    def close(self) -> None:
        """End the fork server and its children. A later job starts another one."""
        with self._lock:
            idle, self._idle = self._idle, []
            server, self._server = self._server, None
        for child in idle:
            child.close()
        if server:
            server.close()

    def reset_after_fork(self) -> None:
        """Forget the fork server and its children after a fork: they belong to the parent."""
        server, idle = self._server, self._idle
        self.__init__()  # type: ignore[misc]
        for process in (server, *idle):
            if process:
                process.abandon()

    def _slot(self, gone: Callable[[], bool]) -> AbstractContextManager[None]:
        return self._long.slot(caller_name.get(), gone)

    def _child(self) -> Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.idle():
                    return child
                child.close()
            try:
                return self._running_server().child()
            except OSError as error:
                message = "No process can be started to check schemas and images."
                raise resources.lack(error) or Unavailable(message, retry_after=5) from error

    def _keep(self, child: Child) -> None:
        with self._lock:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(child)
                return
        child.close()

    def _running_server(self) -> ForkServer:
        if self._server and not self._server.alive():
            self._server.close()
            self._server = None
        self._server = self._server or ForkServer()
        return self._server


offload = Offload()
atexit.register(offload.close)
os.register_at_fork(after_in_child=offload.reset_after_fork)
