"""The state of a process, and how the process is cleared of its conversation."""

from functools import partialmethod
from typing import Any, cast

import pytest

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState, clear
from wrapper.services.claude.protocol.frames import BOUNDARY
from wrapper.services.turn import Message

STATE = ProcessState((Message("user", ("a",)),), ({"model": "m"},), {"total_cost_usd": 1}, turns=3)


class FakeProcess:
    """A process that answers messages. `frames` is what it was sent."""

    def __init__(self, error: Exception | None = None):
        self.silent = True
        self.frames: list[Any] = []
        self._error = error

    def alive_and_silent(self):
        return self.silent

    def send(self, frame, seconds):
        self.frames.append(frame)
        if self._error:
            raise self._error

    tell = partialmethod(send, seconds=0)


def cleared(process: FakeProcess) -> ProcessState | None:
    return clear(cast(Process, process), STATE)


def test_cleared():
    """It gets /clear, so that its usage counts from zero, and what hides that from the model."""
    process = FakeProcess()
    assert cleared(process) == ProcessState(settings=STATE.settings, turns=3)
    command, boundary = process.frames
    assert command["message"]["content"] == "/clear"
    assert boundary == BOUNDARY


@pytest.mark.parametrize("error", [BootFailed("late"), BrokenPipeError()])
def test_a_process_that_does_not_answer(error):
    """A process that does not answer is not cleared."""
    assert cleared(FakeProcess(error)) is None


def test_a_process_that_writes_more():
    """A process that writes more than the answer, or has died, is not cleared."""
    process = FakeProcess()
    process.silent = False
    assert cleared(process) is None
