"""The supervisor: what follows when a process cannot be booted or warmed up."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes import supervisor as module
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.settings import Settings


class FakeProcess:
    """A process that boots, and has ended with `code` afterwards."""

    qualification: Any = None

    def __init__(self, code):
        self.code = code

    def boot(self, timeout, *, early):
        """Be ready at once."""

    def exit_code(self):
        return self.code


@pytest.mark.parametrize(
    ("code", "switched_off"), [(None, True), (1, True), (-signal.SIGKILL, False)]
)
def test_failed_warm_up(code, switched_off, monkeypatch):
    """A warm-up that fails switches warm-ups off, but not if somebody has killed the process."""

    def fail(*_):
        raise BootFailed("Claude Code ended while starting.")

    supervisor = Supervisor(Settings(), {})
    process, failures = FakeProcess(code), []
    qualification = SimpleNamespace(failure=lambda check: "", passed=lambda check: True)
    monkeypatch.setattr(module, "warm_up", fail)
    monkeypatch.setattr(
        supervisor, "_choose", lambda profile: (SimpleNamespace(path=""), qualification)
    )
    monkeypatch.setattr(supervisor, "_spawn", lambda *_: process)
    monkeypatch.setattr(supervisor, "discard", lambda process: None)
    monkeypatch.setattr(supervisor.trials, "fail_warm_up", lambda *given: failures.append(given))
    profile: Any = SimpleNamespace(alike=True)
    try:
        with pytest.raises(BootFailed):
            supervisor.boot(profile, lambda: True)
    finally:
        supervisor.close()
    assert bool(failures) is switched_off


def test_leftovers(monkeypatch):
    """What is left of a stopped process is removed, and what a trial uses is not."""
    monkeypatch.setattr(module, "LEFTOVER_SECONDS", -60.0)
    supervisor = Supervisor(Settings(), {})
    left, used = (supervisor._directory.path / name for name in ("0123456789abcdef", "trial-a"))
    try:
        for folder in (left, used):
            (folder / "work").mkdir(parents=True)
        supervisor.remove_leftovers()
        assert (left.exists(), used.exists()) == (False, True)
    finally:
        supervisor.close()
