"""The fork server and its children, seen from the gateway."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from wrapper import host
from wrapper.errors import ClientGone
from wrapper.services.background.offload import server
from wrapper.services.background.offload.server import receive, send

# A job that uses more CPU time than this is long. A quick job is polled more often than a long one.
QUICK_SECONDS = 0.03
TICK_SECONDS = 0.02
LONG_TICK_SECONDS = 0.25
LOWEST_PRIORITY = 19
# The limit of elapsed time, as a multiple of CPU time: the machine may be busy.
TIMES_LONGER = 10
START_SECONDS = 20.0


class Exceeded(Exception):
    """Raised when a job exceeds a limit or crashes."""


@dataclass(frozen=True)
class Job:
    """A task of the fork server with its input and its limit of CPU seconds.

    A `heavy` job takes much memory, so that it waits for its caller's slot before it begins.
    """

    task: str
    body: bytes
    cpu: float
    options: Mapping[str, Any] = field(default_factory=dict)
    memory: int = server.MEMORY
    heavy: bool = False


class ForkServer:
    """The fork server. Raises OSError if it cannot be started."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_SECONDS)
        program = [sys.executable, "-I", "-S", server.__file__]
        with theirs, ExitStack() as failing:
            failing.callback(self._control.close)
            self._popen = subprocess.Popen(
                [
                    *program,
                    str(theirs.fileno()),
                    json.dumps([os.path.abspath(path) for path in sys.path]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            failing.pop_all()

    def alive(self) -> bool:
        return self._popen.poll() is None

    def child(self) -> Child:
        """Return a new child. Raises OSError if there can be none."""
        mine, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            except OSError:
                mine.close()
                raise
        try:
            return Child(mine)
        except TimeoutError:
            self._popen.kill()  # it hangs, and the next job gets another one
            raise

    def close(self) -> None:
        """End the fork server and all its children."""
        self._control.close()
        try:
            self._popen.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def abandon(self) -> None:
        """Close the socket after a fork. The fork server belongs to the parent process."""
        self._control.close()
        self._popen.returncode = 0


class Child:
    """A process that runs one job at a time."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        sock.settimeout(START_SECONDS)
        try:
            message = receive(sock)
            if message is None:
                raise ConnectionResetError("the fork server could not start a child process")
        except OSError:
            sock.close()
            raise
        self.pid = int(message[0]["pid"])
        self._began = self._seconds = self._until = 0.0
        self._memory = 0

    def idle(self) -> bool:
        """Say whether it waits for a job. A dead child does not."""
        return not self._readable(0)

    def begin(self, job: Job) -> None:
        """Send it *job*. If it has died, `result` raises Exceeded."""
        self._began = host.cpu_seconds(self.pid)
        self._memory = job.memory
        limits = {"cpu": job.cpu, "memory": job.memory if host.LINUX else None}
        self._seconds = job.cpu * TIMES_LONGER
        self._until = time.monotonic() + self._seconds
        self._sock.settimeout(START_SECONDS)
        header = {"task": job.task, "options": dict(job.options), **limits}
        with suppress(ConnectionError, TimeoutError):  # then it has no result either
            send(self._sock, header, job.body)

    def ends_quickly(self) -> bool:
        """Wait until its job has ended or turns out to be long. Return whether it has ended."""
        while not self._readable(TICK_SECONDS):
            used = host.cpu_seconds(self.pid) - self._began
            # One that uses nothing may wait for the rest of its job.
            if used > QUICK_SECONDS or time.monotonic() > self._until:
                return False
        return True

    def pause(self) -> None:
        """Stop the job until `finish`."""
        self._signal(signal.SIGSTOP)

    def finish(self, gone: Callable[[], bool]) -> Any:
        """Continue a long job with the lowest priority, and return its result as `result` does."""
        self._until = time.monotonic() + self._seconds
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, LOWEST_PRIORITY)
        self._signal(signal.SIGCONT)
        return self.result(gone)

    def result(self, gone: Callable[[], bool]) -> Any:
        """Return the result of its job. Raises Exceeded or ClientGone: then close the child."""
        while not self._readable(LONG_TICK_SECONDS if host.LINUX else TICK_SECONDS):
            if gone():
                raise ClientGone("The client closed the connection.")
            if time.monotonic() > self._until or self._takes_too_much():
                raise Exceeded
        try:
            message = receive(self._sock)
        except OSError:
            message = None
        if message is None or "result" not in message[0]:
            raise Exceeded
        return message[0]["result"]

    def close(self) -> None:
        self._signal(signal.SIGKILL)
        self._sock.close()

    def abandon(self) -> None:
        """Close the socket after a fork. The child belongs to the parent process."""
        self._sock.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _readable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _takes_too_much(self) -> bool:
        """Say whether it exceeds its memory. On Linux the kernel lets it have no more."""
        return not host.LINUX and host.resident(self.pid) > self._memory
