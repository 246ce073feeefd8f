"""The error of a turn without a first event says what its process was probably waiting for."""

from __future__ import annotations

import pytest

from wrapper.services import resources
from wrapper.services.claude.errors.no_first_event import (
    OVERLOADED,
    REFUSED,
    SILENT,
    UNREACHABLE,
    USED_UP,
    Silence,
)

READY = {"configured": True, "begun": True}


@pytest.fixture(autouse=True)
def set_load(monkeypatch):
    """A function that sets the load of a machine with one core, at first to none."""

    def set_load(load: float) -> None:
        state = resources.MachineState(None, None, load, 1, None, None)
        monkeypatch.setattr(resources, "machine_state", lambda: state)

    set_load(0.0)
    return set_load


@pytest.mark.parametrize(
    ("silence", "cause"),
    [
        (Silence(**READY), SILENT),
        (Silence(**READY, retried=True), UNREACHABLE),
        (Silence(**READY, retried=True, status=529), REFUSED.format(status=529)),
        (Silence(**READY, retried=True, status=429, used_up=True), USED_UP),
        (Silence(), "preparations for the turn. It waited for CPU time, or it hangs."),
        (Silence(connects=True, hooks=True), "waited for an MCP server or CPU time"),
        (Silence(configured=True), "did not ask the model. It waited for CPU time"),
        (Silence(configured=True, hooks=True), "waited for a hook (CLAUDE_SETTING_SOURCES) or CPU"),
    ],
)
def test_cause(silence, cause):
    """It says how far the turn came, and what that may wait for."""
    error = silence.error(300.0)
    assert (error.status, error.code, error.retry) == (504, "timeout", False)
    assert cause in error.message
    assert "after 300 s (FIRST_EVENT_TIMEOUT)" in error.message
    assert OVERLOADED not in error.message


@pytest.mark.parametrize(("load", "is_overloaded"), [(3.0, False), (5.0, True)])
def test_overload(set_load, load, is_overloaded):
    """It says that the machine is overloaded if it is."""
    set_load(load)
    assert (OVERLOADED in Silence(**READY).error(300.0).message) == is_overloaded
