"""The clearings of processes that wait until no turn is on its way to the model."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState, clear

# The state of a process once it is cleared, None if that fails.
Clearing = Future[ProcessState | None]


class Clearings:
    """Clears processes, in the threads of *run_later*, once *is_idle* says that no turn starts.

    A turn that starts needs the CPU time more than a process that nobody needs yet.
    """

    def __init__(
        self,
        run_later: Callable[[Callable[[], None]], object],
        is_idle: Callable[[], bool],
        clear: Callable[[Process, ProcessState], ProcessState | None] = clear,
    ):
        self._run_later = run_later
        self._is_idle = is_idle
        self._clear = clear
        self._waiting: dict[Clearing, Callable[[], None]] = {}

    def add(self, process: Process, state: ProcessState) -> Clearing:
        """Return a clearing that waits. Once it is cancelled it will not begin."""
        clearing: Clearing = Future()
        self._waiting[clearing] = partial(self._run, clearing, process, state)
        clearing.add_done_callback(lambda clearing: self._waiting.pop(clearing, None))
        return clearing

    def begin(self, clearing: Clearing) -> None:
        """Begin a clearing if it still waits."""
        if run := self._waiting.pop(clearing, None):
            try:
                self._run_later(run)
            except RuntimeError:  # no thread can start
                run()

    def catch_up(self) -> None:
        """Begin all that wait, if no turn starts."""
        if self._waiting and self._is_idle():
            for clearing in list(self._waiting):
                self.begin(clearing)

    def _run(self, clearing: Clearing, process: Process, state: ProcessState) -> None:
        if not clearing.set_running_or_notify_cancel():
            return
        try:
            clearing.set_result(self._clear(process, state))
        except BaseException as error:
            clearing.set_exception(error)
