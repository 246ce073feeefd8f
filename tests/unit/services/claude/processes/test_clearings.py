"""Clearings: when a process is cleared of its conversation."""

from typing import Any, cast

import pytest

from wrapper.services.claude.processes.clearings import Clearings
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState

PROCESS = cast(Process, object())
STATE, CLEARED = ProcessState(turns=1), ProcessState(turns=2)


class Machine:
    """Clearings whose threads run when they are told to."""

    def __init__(self, error=None):
        self.idle = False
        self.begun: list[Any] = []
        self.cleared: list[Any] = []
        self.error = error
        self.clearings = Clearings(self.run_later, lambda: self.idle, self.clear)

    def run_later(self, function):
        self.begun.append(function)

    def clear(self, process, state):
        if self.error:
            raise self.error
        self.cleared.append((process, state))
        return CLEARED

    def run(self):
        while self.begun:
            self.begun.pop()()


def test_while_turns_start():
    """A process is not cleared as long as turns start."""
    machine = Machine()
    clearing = machine.clearings.add(PROCESS, STATE)
    machine.clearings.catch_up()
    machine.run()
    assert not clearing.done()
    assert machine.cleared == []


def test_once_no_turn_starts():
    """All processes that wait are cleared once no turn starts, each of them once."""
    machine = Machine()
    clearings = [machine.clearings.add(PROCESS, STATE) for _ in range(2)]
    machine.idle = True
    machine.clearings.catch_up()
    machine.clearings.catch_up()
    machine.run()
    assert [clearing.result(0) for clearing in clearings] == [CLEARED, CLEARED]
    assert machine.cleared == [(PROCESS, STATE)] * 2


def test_a_turn_needs_it():
    """A process that a turn needs is cleared at once, and the others go on waiting."""
    machine = Machine()
    needed, other = (machine.clearings.add(PROCESS, STATE) for _ in range(2))
    machine.clearings.begin(needed)
    machine.clearings.begin(needed)
    machine.run()
    assert (needed.result(0), other.done()) == (CLEARED, False)
    assert machine.cleared == [(PROCESS, STATE)]


@pytest.mark.parametrize("begun", [False, True])
def test_cancelled(begun):
    """A process whose clearing is cancelled is not cleared, whether or not a thread has it."""
    machine = Machine()
    clearing = machine.clearings.add(PROCESS, STATE)
    if begun:
        machine.clearings.begin(clearing)
    clearing.cancel()
    machine.idle = True
    machine.clearings.catch_up()
    machine.run()
    assert machine.cleared == []


def test_an_error():
    """Whoever waits for a clearing learns that it has failed."""
    machine = Machine(RuntimeError("no"))
    clearing = machine.clearings.add(PROCESS, STATE)
    machine.clearings.begin(clearing)
    machine.run()
    assert isinstance(clearing.exception(0), RuntimeError)


def test_no_thread():
    """A process is cleared at once where no thread can start."""

    def fail(function):
        raise RuntimeError("can't start new thread")

    machine = Machine()
    clearings = Clearings(fail, lambda: True, machine.clear)
    clearing = clearings.add(PROCESS, STATE)
    clearings.begin(clearing)
    assert clearing.result(0) == CLEARED
