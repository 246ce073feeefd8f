"""One live Claude Code process: spawned, booted, lent to one turn, stopped.

It belongs to no event loop and outlives the requests' own.
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
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from wrapper.services.claude.errors import BootFailed
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.processes import compatibility
from wrapper.services.claude.processes.directories import Directories
from wrapper.services.claude.processes.models import ask_models
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.protocol.decoder import read_frame
from wrapper.services.claude.protocol.frames import command
from wrapper.services.claude.protocol.initialize import HEED_LATE_PROMPTS, early_initialize_request

READ_BYTES = 65536
# Far more than what it says where it has to be waited for: a few lines, of models and settings.
SAID_BYTES = 8 * 1024**2
TERM_SECONDS = 3.0
EMPTYING_SECONDS = 5.0


class Process:
    """A `claude` with pipes to it, in a session and in directories of its own."""

    def __init__(self, profile: Profile, binary: str, root: Path, config: Path | None = None):
        """Spawn it, with a *config* directory that it shares, or one of its own.

        Raises BootFailed when the program cannot be run, or there is no room for it.
        """
        self.profile = profile
        self.version = ""
        # Whether it was greeted while it booted, for whatever turn comes.
        self.greeted = False
        self.models: list[Mapping[str, Any]] = []
        # What its last turn has set, which stays so.
        self.settings: list[dict[str, Any]] = []
        # The result of its last turn: Claude Code adds up over the life of a process.
        self.result: dict[str, Any] | None = None
        # The first and the last message of the user's that it was told, where these bear a name.
        self.first = self.last = ""
        self.home = root / secrets.token_hex(8)
        self._directories = Directories(self.home, config)
        try:
            variables = self._directories.make(profile)
        except OSError as error:
            raise self._failed(f"{root.parent} (TMPDIR) takes nothing", error) from None
        try:
            self._popen = subprocess.Popen(
                [binary, *profile.arguments],
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
            raise self._failed(f"{binary} cannot be run", error) from None
        popen = self._popen
        self._files = [pipe for pipe in (popen.stdin, popen.stdout, popen.stderr) if pipe]
        self.pid = popen.pid

    @property
    def directory(self) -> str:
        """Return the directory that it was started in."""
        return self.profile.cwd or str(self.home / "work")

    @property
    def pipes(self) -> tuple[int, int, int]:
        """Return the file descriptors of its stdin, stdout and stderr."""
        stdin, stdout, stderr = self._files
        return stdin.fileno(), stdout.fileno(), stderr.fileno()

    def boot(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait until it answers, and look whether it may serve.

        Raises BootFailed when it does not answer in time, or not so that it can be understood, and
        Refused when it may not serve.
        """
        ask = partial(self.ask, seconds=seconds, clock=clock)
        try:
            self.version = str(ask({"subtype": "get_binary_version"}).get("version") or "")
            compatibility.check(self.profile, self.version, ask)
            self.models = ask_models(ask)
            if self.profile.alike and self.version in HEED_LATE_PROMPTS:
                self.greeted = bool(ask(early_initialize_request()))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            what = f"Claude Code said what cannot be understood: {error!r:.200}"
            raise BootFailed(what) from error
        compatibility.check_closed(self.pid)

    def own_name(self, model: str) -> str:
        """Return what *model* is by its own name, as far as it has said."""
        told = (row.get("resolvedModel") for row in self.models if row.get("value") == model)
        return str(next(told, None) or model)

    def ask(
        self,
        request: Mapping[str, Any],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> dict[str, Any]:
        """Send a control request and return its answer, empty where the CLI refuses it.

        Only while no loop is attached. Raises BootFailed when it does not answer in time.
        """
        frame = {"type": "control_request", "request_id": "boot", "request": request}
        return self._exchange(frame, _boot_answer, seconds, clock)

    def tell(self, frame: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send it a message of the user's and return the result; else as `ask`."""
        return self._exchange(frame, _result, seconds, time.monotonic)

    def empty(self, seconds: float = EMPTYING_SECONDS) -> bool:
        """Empty it of its conversation; return whether that was done. Only as `ask` is.

        Where the model sees what Claude Code knows of its conversation, that is taken back to its
        first message: /clear would be told to the model.
        """
        try:
            done = self._clear(seconds) if self.profile.name == "plain" else self._rewind(seconds)
        except (BootFailed, OSError):
            return False
        return done and self.alive_and_silent()

    def _clear(self, seconds: float) -> bool:
        self.tell(command("/clear"), seconds)
        self.result = None
        return True

    def _rewind(self, seconds: float) -> bool:
        target = {"target_message_uuid": self.first, "last_seen_user_message_uuid": self.last}
        told = self.ask({"subtype": "rewind_conversation", **target}, seconds)
        self.first = self.last = ""
        return told.get("rewound") is True and told.get("precedingAssistantUuid") is None

    def _exchange(
        self,
        frame: Mapping[str, Any],
        find: Callable[[Sequence[bytes]], dict[str, Any] | None],
        seconds: float,
        clock: Callable[[], float],
    ) -> dict[str, Any]:
        """Send a frame and return what *find* finds in the lines that follow."""
        deadline = clock() + seconds
        stdin, stdout, _ = self.pipes
        buffer, said = b"", 0
        try:
            os.write(stdin, json.dumps(frame).encode() + b"\n")
            while _readable(stdout, max(0.0, deadline - clock())):
                chunk = os.read(stdout, READ_BYTES)
                if not chunk:
                    raise BootFailed(f"Claude Code ended while starting. {self._last_words()}")
                if (said := said + len(chunk)) > SAID_BYTES:
                    raise BootFailed("Claude Code said too much while starting.")
                *lines, buffer = (buffer + chunk).split(b"\n")
                if (answer := find(lines)) is not None:
                    return answer
        except BrokenPipeError:
            raise BootFailed(f"Claude Code ended while starting. {self._last_words()}") from None
        raise BootFailed("Claude Code did not answer in time (BOOT_TIMEOUT).")

    def alive_and_silent(self) -> bool:
        """Say whether it still runs and has said nothing that nobody asked for."""
        return self._popen.poll() is None and not _readable(self.pipes[1], 0)

    def exit_code(self) -> int | None:
        return self._popen.poll()

    def kill(self) -> None:
        """End it at once; `stop` is still to be called."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it and all that it started, and remove its directories. Takes up to TERM_SECONDS."""
        if self.profile.has_tools:
            # Asked to end, Claude Code ends its tools' commands too, which left its group.
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(TERM_SECONDS)
        self.kill()
        self._popen.wait()
        if self.profile.has_tools:
            reaper.end(self.home)
        for pipe in self._files:
            pipe.close()
        self._directories.remove(self.pid)

    def _failed(self, what: str, error: OSError) -> BootFailed:
        """Remove its directories and return why it could not be started."""
        self._directories.remove()
        return BootFailed(f"{what}: {error.strerror}")

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _last_words(self) -> str:
        stderr = self.pipes[2]
        said = os.read(stderr, READ_BYTES) if _readable(stderr, 0.2) else b""
        return said.decode(errors="replace").strip()[-500:]


def _boot_answer(lines: Sequence[bytes]) -> dict[str, Any] | None:
    for frame in _frames(lines):
        if frame["type"] == "control_response":
            response = frame.get("response")
            told = response.get("response") if isinstance(response, dict) else None
            return told if isinstance(told, dict) else {}
    return None


def _result(lines: Sequence[bytes]) -> dict[str, Any] | None:
    return next((frame for frame in _frames(lines) if frame["type"] == "result"), None)


def _frames(lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(ValueError):
            yield read_frame(line)


def _readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
