"""The contenders without a gateway: Claude Code's own processes, asked over their pipes."""

from __future__ import annotations

import json
import os
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.answer import QUESTION, Answer, Timing, WrongAnswer, text_of
from tests.support.server import MODEL
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.protocol import frames
from wrapper.services.turn import Message, Turn

Json = dict[str, Any]

BOOT_SECONDS = 30.0
TURN = Turn(MODEL, (Message("user", (QUESTION,)),), profile="plain")
# Flags of the plain profile that `claude -p` does without: it asks once, and streams no input.
NOT_PRINTED = ("--input-format", "--max-budget-usd")


class ClaudePrint:
    """`claude -p`, started for the question; its total is until it has ended."""

    def __init__(
        self, name: str, command: Sequence[str], variables: Mapping[str, str], folder: Path
    ):
        self.name = name
        self._command = [*command, "-p", QUESTION, "--model", MODEL]
        self._variables = variables
        self._folder = folder

    def prepare(self) -> None:
        """Do nothing: it always starts cold."""

    def ask(self) -> Timing:
        answer = Answer()
        with subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=self._folder,
            env=dict(self._variables),
        ) as process:
            _add_frames(_frames(process.stdout or ()), answer)
        if process.returncode:
            raise WrongAnswer(f"{self.name} ended with {process.returncode}")
        return answer.end()

    def close(self) -> None:
        """Do nothing: it has ended."""


class BareProcess:
    """Warm processes like the gateway's, driven over their pipes; the oldest first.

    Like the gateway's, its time includes the configuration by the same frames.
    """

    name = "bare process"

    def __init__(self, binary: str, profile: Profile, root: Path, size: int):
        self._binary, self._profile, self._root = binary, profile, root
        self._size = size
        self._warm: deque[Process] = deque()

    def prepare(self) -> None:
        while len(self._warm) < self._size:
            self._warm.append(Process(self._profile, self._binary, self._root))
            self._warm[-1].boot(BOOT_SECONDS, early=self._profile.alike)

    def ask(self) -> Timing:
        process = self._warm.popleft()
        try:
            return converse(process, TURN, opening(process, TURN))
        finally:
            process.stop()

    def close(self) -> None:
        while self._warm:
            self._warm.pop().stop()


def printed(profile: Profile) -> list[str]:
    """Return the flags that `claude -p` shares with a process of this profile."""
    kept: list[str] = []
    skip = False
    for argument in profile.arguments:
        if not skip and argument not in NOT_PRINTED:
            kept.append(argument)
        skip = argument in NOT_PRINTED
    return kept


def opening(process: Process, turn: Turn) -> list[Json]:
    """Return the frames with which the gateway configures a fresh process."""
    return frames.configuration(turn, frames.settings(turn), initialized=process.initialized)


def converse(process: Process, turn: Turn, requests: Sequence[Json]) -> Timing:
    """Configure a process with *requests*, ask it, and time its answer up to its result."""
    stdin, stdout, _ = process.pipes
    answer = Answer()
    with os.fdopen(os.dup(stdout), "rb") as lines:
        received = _frames(lines)
        _send(stdin, requests)
        unconfirmed = {request["request_id"] for request in requests}
        while unconfirmed:
            unconfirmed.discard(_confirmed(next(received)))
        _send(stdin, [frames.prompt(turn)])
        _add_frames(received, answer)
    return answer.end()


def _confirmed(frame: Json) -> str:
    """Return the id of the request that *frame* confirms, or an empty string."""
    response = frame.get("response", {}) if frame["type"] == "control_response" else {}
    return str(response.get("request_id", "")) if response.get("subtype") == "success" else ""


def _send(descriptor: int, requests: Iterable[Json]) -> None:
    os.write(descriptor, b"".join(json.dumps(request).encode() + b"\n" for request in requests))


def _add_frames(received: Iterable[Json], answer: Answer) -> None:
    """Add the frames of a process to *answer*, up to its result."""
    for frame in received:
        if frame["type"] == "stream_event":
            answer.add(text_of(frame["event"]))
        if frame["type"] == "result":
            return


def _frames(lines: Iterable[bytes]) -> Iterator[Json]:
    return (json.loads(line) for line in lines)
