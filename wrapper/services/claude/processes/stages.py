"""The stage of each process, from its start to its end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from wrapper.services.claude.processes.process import Process


class Stage(Enum):
    BOOTING = "booting"
    BOOTED = "booted"
    STOPPING = "stopping"


class Stages:
    """The processes with their stages. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[Process, Stage] = {}
        self._closed = False

    def add(self, process: Process) -> bool:
        """Add a process that boots, and say whether it may."""
        with self._lock:
            self._stages[process] = Stage.BOOTING
            return not self._closed

    def end_boot(self, process: Process) -> None:
        """Note that a process has booted, if it is not stopped already."""
        with self._lock:
            if self._stages.get(process) is Stage.BOOTING:
                self._stages[process] = Stage.BOOTED

    def begin_stop(self, process: Process) -> bool:
        """Note that a process is stopped, and say whether that is new."""
        with self._lock:
            runs = self._stages.get(process) in (Stage.BOOTING, Stage.BOOTED)
            if runs:
                self._stages[process] = Stage.STOPPING
            return runs

    def remove(self, process: Process) -> None:
        with self._lock:
            del self._stages[process]

    def close(self) -> Sequence[Process]:
        """Let no further process boot, and return those that boot."""
        with self._lock:
            self._closed = True
            return [each for each, stage in self._stages.items() if stage is Stage.BOOTING]

    def booted(self) -> Sequence[Process]:
        """Return the processes that do not boot any more."""
        with self._lock:
            return [each for each, stage in self._stages.items() if stage is not Stage.BOOTING]

    def uses(self, home: Path) -> bool:
        """Say whether a process has this directory."""
        with self._lock:
            return any(process.home == home for process in self._stages)
