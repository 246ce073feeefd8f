"""The state of a process, and how the process is cleared of its conversation."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState, clear
from wrapper.services.turn import Message

STATE = ProcessState((Message("user", ("a",)),), ({"model": "m"},), {"total_cost_usd": 1}, "1", "2")
REWOUND = {"rewound": True, "precedingAssistantUuid": None}


class FakeProcess:
    """A process that answers a rewind with *answer*. `requests` is what it was sent."""

    def __init__(self, profile: str, answer: Any = None, error: Exception | None = None):
        self.profile = SimpleNamespace(name=profile)
        self.silent = True
        self.requests: list[Any] = []
        self._answer = answer
        self._error = error

    def alive_and_silent(self):
        return self.silent

    def ask(self, request, seconds):
        self.requests.append(request)
        if self._error:
            raise self._error
        return self._answer

    send = ask


def cleared(process: FakeProcess) -> ProcessState | None:
    return clear(cast(Process, process), STATE)


def test_plain_is_cleared():
    """A plain process gets /clear, after which its usage counts from zero."""
    process = FakeProcess("plain")
    assert cleared(process) == ProcessState(settings=STATE.settings, first="1", last="2")
    assert process.requests[0]["message"]["content"] == "/clear"


def test_an_agent_is_rewound():
    """An agent is rewound to its first message, and its usage goes on from its last result."""
    process = FakeProcess("agent", REWOUND)
    assert cleared(process) == ProcessState(settings=STATE.settings, result=STATE.result)
    (request,) = process.requests
    uuids = request["target_message_uuid"], request["last_seen_user_message_uuid"]
    assert uuids == ("1", "2")


@pytest.mark.parametrize(
    "answer", [{}, {"rewound": False}, {"rewound": True, "precedingAssistantUuid": "3"}]
)
def test_an_agent_that_is_not_rewound(answer):
    """An agent that is not at its first message afterwards has no state to go on with."""
    assert cleared(FakeProcess("agent", answer)) is None


@pytest.mark.parametrize("profile", ["plain", "agent"])
@pytest.mark.parametrize("error", [BootFailed("late"), BrokenPipeError()])
def test_a_process_that_does_not_answer(profile, error):
    """A process that does not answer is not cleared."""
    assert cleared(FakeProcess(profile, error=error)) is None


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_a_process_that_writes_more(profile):
    """A process that writes more than the answer, or has died, is not cleared."""
    process = FakeProcess(profile, REWOUND)
    process.silent = False
    assert cleared(process) is None
