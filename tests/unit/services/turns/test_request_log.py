"""The record: one line for each request, whatever became of it."""

from __future__ import annotations

import pytest

from wrapper.errors import Overloaded
from wrapper.services.events import Acquisition, Ended, Ending, Started, TextDelta, Usage
from wrapper.services.principal import LOCAL
from wrapper.services.request import ChatRequest, Grant
from wrapper.services.telemetry.metrics import NullMetrics
from wrapper.services.telemetry.timing import Timing
from wrapper.services.turn import Message
from wrapper.services.turns.draft import Draft
from wrapper.services.turns.request_log import RequestLog

DRAFT = Draft(ChatRequest(()), "sonnet", Grant("plain"), LOCAL)
MESSAGES = (Message("user", ("a secret",)),)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def told(caplog):
    """Return the facts of the one line that was logged."""
    caplog.set_level("INFO", "wrapper.services.turns.request_log")

    def facts():
        (line,) = caplog.records
        return line.facts

    return facts


def record_of(clock=None, prompts=False):
    timing = Timing(clock or Clock())
    messages = MESSAGES if prompts else None
    return RequestLog("req-1", DRAFT, timing=timing, metrics=NullMetrics(), messages=messages)


def test_done(told):
    """A request that was answered is told with what it took and what it cost."""
    clock = Clock()
    record = record_of(clock)
    clock.now = 0.1
    record.add(0, Started("claude-sonnet-5-5", acquisition=Acquisition("parked", 0.002, 0.02)))
    record.add(0, TextDelta("Hello."))
    for _ in range(2):
        record.add(0, Ended(Ending.DONE, Usage(input=3, cache_read=4, output=5), 0.25))
    clock.now = 0.5
    record.done()
    record.close()
    assert told() == {
        "id": "req-1",
        "key": "local",
        "model": "claude-sonnet-5-5",
        "profile": "plain",
        "prompt_tokens": 14,
        "completion_tokens": 10,
        "source": "parked",
        "lease_ms": 2,
        "configure_ms": 20,
        "first_token_ms": 100,
        "cost_usd": 0.5,
        "total_ms": 500,
        "outcome": "done",
    }


@pytest.mark.parametrize(
    ("error", "outcome"), [(Overloaded("x"), "overloaded"), (KeyError("x"), "internal_error")]
)
def test_failed(told, error, outcome):
    """A request that failed is told with the code that its client got."""
    record = record_of()
    record.fail(error)
    record.close()
    assert told()["outcome"] == outcome


def test_left(told):
    """A request that was closed before it was done is one whose client has left."""
    record_of().close()
    assert told()["outcome"] == "client_gone"


def test_once(told):
    """However often it is closed, a request is told once."""
    record = record_of()
    record.close()
    record.close()
    assert told()["id"] == "req-1"


@pytest.mark.parametrize("prompts", [True, False])
def test_prompts(told, prompts):
    """What the caller wrote is told only where that is asked for."""
    record_of(prompts=prompts).close()
    assert ("a secret" in str(told())) is prompts
