"""The supervisor: what follows when a process cannot be booted or warmed up."""

import signal
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes import supervisor as module
from wrapper.services.claude.processes.binary import Binary, stamp_of
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.settings import Settings

PLAIN = Profile("plain", (), {}, alike=True)


class FakeProcess:
    """A process that boots, and has ended with `code` afterwards."""

    qualification: Any = None

    def __init__(self, code):
        self.code = code

    def boot(self, timeout, *, early):
        """Be ready at once."""

    def exit_code(self):
        return self.code

    def kill(self):
        """End at once."""


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
    try:
        with pytest.raises(BootFailed):
            supervisor.boot(PLAIN, lambda: True)
    finally:
        supervisor.close()
    assert bool(failures) is switched_off


def test_replaced_as_it_starts(tmp_path, monkeypatch):
    """A process whose program was replaced as it started is stopped: its successor is qualified."""
    path = tmp_path / "claude"
    path.write_text("")
    old = Binary(str(path), "2.1.332", "PATH", stamp=(0, 0, 0))
    new = replace(old, stamp=stamp_of(path))
    of_old, of_new = Qualification(trusted=True), Qualification(trusted=True)
    choices = iter([(old, of_old), (new, of_new)])
    supervisor = Supervisor(Settings(pool_rehearse=False), {})
    started, stopped = [FakeProcess(None), FakeProcess(None)], list[FakeProcess]()
    remaining = iter(started)
    monkeypatch.setattr(supervisor, "_start_reaper", lambda: None)
    monkeypatch.setattr(supervisor, "_choose", lambda profile: next(choices))
    monkeypatch.setattr(module, "Process", lambda *_: next(remaining))
    monkeypatch.setattr(supervisor, "discard", stopped.append)
    try:
        process: Any = supervisor.boot(PLAIN)
    finally:
        supervisor.close()
    assert process is started[1]
    assert process.qualification is of_new
    assert stopped[0] is started[0]


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
