"""The references for later turns, which are those of bare processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.answer import EXPECTED, QUESTION, Timing
from bench.bare_process import BOOT_SECONDS, converse, opening
from tests.support.server import MODEL
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.state import ProcessState, clear
from wrapper.services.claude.processes.warmup import warm_up
from wrapper.services.claude.protocol import frames
from wrapper.services.turn import Message, Turn

LATE = 60


class BareTurn:
    """A bare process, asked for turn *number* of a conversation; from LATE on also for later ones.

    It is the reference of the same turn of a session. Like the gateway's, its process has run a
    warm-up turn, knows an agent's conversation, and gets only those settings that change: in the
    profile plain these hold the whole conversation. A plain process is cleared after each turn,
    which is not timed. Unlike the gateway's, an agent works in its process's own directory.
    """

    def __init__(self, binary: str, profile: Profile, root: Path, number: int):
        self.name = f"bare process, {profile.name}, turn {number}"
        self._start = partial(Process, profile, binary, root)
        self._number = number
        self._process: Process | None = None
        self._known: tuple[Message, ...] = ()
        self._settings: list[frames.Frame] = []

    def prepare(self) -> None:
        while len(self._known) < 2 * (self._number - 1):
            self._ask()

    def ask(self) -> Timing:
        timing = self._ask()
        if self._number < LATE:  # the next turn of a young conversation has another number
            self.close()
        return timing

    def close(self) -> None:
        if self._process:
            self._process.stop()
        self._process, self._known = None, ()

    def _booted(self) -> Process:
        if self._process is None:
            self._process = self._start()
            self._process.boot(BOOT_SECONDS, early=self._process.profile.alike)
            warm_up(self._process, BOOT_SECONDS)
        return self._process

    def _ask(self) -> Timing:
        process = self._booted()
        profile = process.profile
        messages = (*self._known, Message("user", (QUESTION,)))
        turn = Turn(MODEL, messages, profile=profile.name)
        settings, before = frames.settings(turn), self._settings
        if self._known:
            requests = frames.reconfiguration(turn, settings, profile.mode, before)
        else:
            requests = opening(process, turn)
        timing = converse(process, turn, requests)
        self._known, self._settings = (*messages, Message("assistant", (EXPECTED,))), settings
        _clear(process)
        return timing


class RepeatedTurn:
    """A bare process that is asked the same question again and again, with all of its settings.

    It is the reference of `gateway`, which is asked the same again on recycled processes. A plain
    process is cleared before each turn, which is not timed.
    """

    def __init__(self, binary: str, profile: Profile, root: Path):
        self.name = f"bare process, {profile.name}, the same again"
        self._turn = Turn(MODEL, (Message("user", (QUESTION,)),), profile=profile.name)
        self._process = Process(profile, binary, root)
        self._process.boot(BOOT_SECONDS, early=profile.alike)
        converse(self._process, self._turn, opening(self._process, self._turn))

    def prepare(self) -> None:
        _clear(self._process)

    def ask(self) -> Timing:
        return converse(self._process, self._turn, frames.settings(self._turn))

    def close(self) -> None:
        self._process.stop()


def _clear(process: Process) -> None:
    """Clear a plain process, which has spent its budget and runs no further turn before."""
    if process.profile.budgeted and not clear(process, ProcessState()):
        raise RuntimeError(f"process {process.pid} could not be cleared")
