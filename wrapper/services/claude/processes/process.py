"""One Claude Code process: it is spawned and booted, runs turns, and is stopped.

It belongs to no event loop and outlives those of the requests.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.processes import compatibility
from wrapper.services.claude.processes.directories import Directories
from wrapper.services.claude.processes.models import ask_models
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.protocol.decoder import read_frame
from wrapper.services.claude.protocol.initialize import early_initialize_request

READ_BYTES = 65536
# Far more than a process answers while it boots: a few lines, of models and settings.
MAX_ANSWER_BYTES = 8 * 1024**2
TERM_SECONDS = 3.0
# The time between the end of a process's output and its exit.
EXIT_SECONDS = 0.5

# Returns the answer to a control request of Claude Code's, None if it gets none.
Reply = Callable[[dict[str, Any]], Mapping[str, Any] | None]


class Process:
    """A `claude` with its pipes, in a session and in directories of its own.

    `version`, `models` and `initialized` are known after `boot`. `initialized` says that it got its
    initialize request while it booted, before its turn was known. `qualification` says which checks
    its binary passes.
    """

    def __init__(self, profile: Profile, binary: str, parent: Path, config: Path | None = None):
        """Spawn it in a new directory below *parent*.

        It gets *config* as its config directory, or one of its own. Raises BootFailed if the
        program cannot be run or its directories cannot be made.
        """
        self.profile = profile
        self.version = ""
        self.qualification = Qualification()
        self.initialized = False
        self.models: list[Mapping[str, Any]] = []
        self.home = parent / secrets.token_hex(8)
        self._binary = binary
        self._directories = Directories(self.home, config)
        try:
            variables = self._directories.make(profile)
        except OSError as error:
            what = "TMPDIR cannot be written to"
            raise self._failure(what, error, f"It is {parent.parent}.") from None
        try:
            self._popen = subprocess.Popen(
                [binary, *profile.arguments, *self._directories.arguments(profile)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.directory,
                env=variables,
                bufsize=0,
                start_new_session=True,
                **(profile.user.spawning if profile.user else {}),
            )
        except OSError as error:
            what = "Claude Code cannot be run"
            raise self._failure(what, error, f"Its path is {binary}.") from None
        self.pid = self._popen.pid

    @property
    def directory(self) -> str:
        """Return the directory that it was started in."""
        return self.profile.cwd or str(self.home / "work")

    @property
    def _files(self) -> list[IO[bytes]]:
        popen = self._popen
        return [pipe for pipe in (popen.stdin, popen.stdout, popen.stderr) if pipe]

    @property
    def pipes(self) -> tuple[int, int, int]:
        """Return the file descriptors of its stdin, stdout and stderr."""
        stdin, stdout, stderr = self._files
        return stdin.fileno(), stdout.fileno(), stderr.fileno()

    def boot(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        early: bool = False,
    ) -> None:
        """Wait until it answers, and check that it may serve. *early* also initializes it.

        Raises BootFailed if it does not answer in time or its answer makes no sense, and Refused
        if it may not serve.
        """
        ask = partial(self.ask, seconds=seconds, clock=clock)
        try:
            self.version = str(ask({"subtype": "get_binary_version"}).get("version") or "")
            compatibility.check(self.profile, self.version, ask)
            self.models = ask_models(ask)
            if early:
                self.initialized = bool(ask(early_initialize_request()))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            what = f"Claude Code's answer cannot be understood: {error!r:.200}"
            raise BootFailed(what) from error
        compatibility.check_closed(self.pid)

    def full_model_name(self, model: str) -> str:
        """Return the model's own name where *model* is an alias that this CLI lists."""
        names = (row.get("resolvedModel") for row in self.models if row.get("value") == model)
        return str(next(names, None) or model)

    def ask(
        self,
        request: Mapping[str, Any],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> dict[str, Any]:
        """Send a control request and return its answer, empty if the CLI refuses it.

        It reads the process's pipes, so no event loop may be attached to them. Raises BootFailed
        if no answer comes in time.
        """
        frame = {"type": "control_request", "request_id": "boot", "request": request}
        return self._exchange(frame, _find_answer, seconds, clock)

    def send(
        self, frame: Mapping[str, Any], seconds: float, reply: Reply = lambda request: None
    ) -> dict[str, Any]:
        """Send a user message and return the result. The limits of `ask` apply.

        *reply* returns the answers to the control requests that come before the result.
        """
        return self._exchange(frame, partial(self._find_result, reply), seconds, time.monotonic)

    def tell(self, frame: Mapping[str, Any]) -> None:
        """Send a frame that has no answer. Raises BootFailed if the process has ended."""
        try:
            os.write(self.pipes[0], json.dumps(frame).encode() + b"\n")
        except BrokenPipeError:
            raise self._ended() from None

    def _find_result(self, reply: Reply, lines: Sequence[bytes]) -> dict[str, Any] | None:
        for frame in _frames(lines):
            if frame["type"] == "result":
                return frame
            if frame["type"] == "control_request" and (answer := reply(frame)):
                self.tell(answer)
        return None

    def _exchange(
        self,
        frame: Mapping[str, Any],
        find: Callable[[Sequence[bytes]], dict[str, Any] | None],
        seconds: float,
        clock: Callable[[], float],
    ) -> dict[str, Any]:
        """Send a frame and return what *find* finds in the lines that follow."""
        deadline = clock() + seconds
        _, stdout, _ = self.pipes
        buffer, size = b"", 0
        self.tell(frame)
        while _readable(stdout, max(0.0, deadline - clock())):
            chunk = os.read(stdout, READ_BYTES)
            if not chunk:
                raise self._ended()
            if (size := size + len(chunk)) > MAX_ANSWER_BYTES:
                raise BootFailed("Claude Code wrote too much while starting.")
            *lines, buffer = (buffer + chunk).split(b"\n")
            if (answer := find(lines)) is not None:
                return answer
        raise BootFailed("Claude Code did not answer in time (BOOT_TIMEOUT).")

    def alive_and_silent(self) -> bool:
        """Say whether it still runs and has written nothing since its last answer."""
        return self._popen.poll() is None and not _readable(self.pipes[1], 0)

    def exit_code(self) -> int | None:
        return self._popen.poll()

    def kill(self) -> None:
        """End it at once; `stop` must still be called."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it and all that it started, and remove its directories. Takes up to TERM_SECONDS."""
        with ExitStack() as left:  # each is done even if those before it fail, the last one first
            left.callback(self._directories.remove, self.pid)
            if self.profile.has_tools:
                left.callback(reaper.end, self.home)
            for pipe in self._files:  # which leaves descriptors for the rest
                left.callback(pipe.close)
            self._end()

    def _end(self) -> None:
        if self.profile.has_tools:
            # On SIGTERM Claude Code also ends its tools' commands, which have their own groups.
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(TERM_SECONDS)
        self.kill()
        self._popen.wait()

    def _failure(self, what: str, error: OSError, details: str) -> BootFailed:
        """Remove its directories and return the error that says why it could not be started."""
        self._directories.remove()
        return BootFailed(f"{what}: {error.strerror}.", details)

    def _ended(self) -> BootFailed:
        """Return the error for a process that has ended while it booted."""
        written = self._stderr_tail() or "nothing"
        with suppress(subprocess.TimeoutExpired):  # it has only closed its stdout
            self._popen.wait(EXIT_SECONDS)
        code = self.exit_code()
        ended = "closed its output" if code is None else f"ended with exit code {code}"
        details = f"{self._binary} wrote: {written}"
        return BootFailed(f"Claude Code {ended} while starting.", details)

    def _signal(self, number: int) -> None:
        # macOS answers EPERM if nothing but ended processes is left in the group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _stderr_tail(self) -> str:
        stderr = self.pipes[2]
        tail = os.read(stderr, READ_BYTES) if _readable(stderr, 0.2) else b""
        return tail.decode(errors="replace").strip()[-500:]


def _find_answer(lines: Sequence[bytes]) -> dict[str, Any] | None:
    for frame in _frames(lines):
        if frame["type"] == "control_response":
            response = frame.get("response")
            answer = response.get("response") if isinstance(response, dict) else None
            return answer if isinstance(answer, dict) else {}
    return None


def _frames(lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(ValueError):
            yield read_frame(line)


def _readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
