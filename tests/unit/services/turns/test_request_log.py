"""The record: one line for each request, whatever became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.clock import Clock
from tests.support.log_records import records_of
from wrapper.errors import BadAnswer, BadGateway, ClientGone, InvalidRequest, Overloaded
from wrapper.services.events import Acquisition, Ended, Ending, Started, TextDelta
from wrapper.services.principal import LOCAL, Caller
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.spent import Usage
from wrapper.services.telemetry.metrics import NullMetrics
from wrapper.services.telemetry.timing import Timing
from wrapper.services.turn import Message, Turn
from wrapper.services.turns.draft import Draft
from wrapper.services.turns.request_log import RequestLog, conversation_of

DRAFT = Draft(TurnRequest(()), "sonnet", Grant("plain"), LOCAL)
CALLER = Caller(request_id="req-1")
MESSAGES = (Message("user", ("a secret",)),)


@pytest.fixture
def told(caplog):
    """Return the facts of the one line that was logged."""
    caplog.set_level("INFO", "wrapper.services.turns.request_log")

    def facts():
        (line,) = records_of(caplog, RequestLog)
        return line.facts

    return facts


def record_of(clock=None, prompts=False, draft=DRAFT, caller=CALLER):
    timing = Timing(clock or Clock())
    conversation = conversation_of(Turn("sonnet", MESSAGES)) if prompts else None
    return RequestLog(
        caller, draft, timing=timing, metrics=NullMetrics(), conversation=conversation
    )


@pytest.mark.parametrize("costs", [(None, 0.25), (0.25, None)])
def test_unknown_cost(told, costs):
    """The cost is left out if that of one of the answers is not known."""
    record = record_of()
    for index, cost in enumerate(costs):
        record.add(index, Ended(Ending.DONE, Usage(input=3, output=5), cost))
    record.done()
    record.close()
    assert "cost_usd" not in told()
    assert told()["prompt_tokens"] == 6


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
        "stream": False,
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


@pytest.mark.parametrize(
    "error", [Overloaded("x"), InvalidRequest("x"), BadAnswer("x"), KeyError("x")]
)
def test_failures_are_warnings(caplog, told, error):
    """A failed turn is a warning, whatever failed."""
    record = record_of()
    record.fail(error)
    record.close()
    assert records_of(caplog, RequestLog)[0].levelname == "WARNING"
    assert told()["status"] == getattr(error, "status", 500)


def test_failure_tells_who_asked(told):
    """The line of a failed turn has its session, its client's address, and whether it streams."""
    draft = replace(DRAFT, request=TurnRequest((), session_id="s-1", stream=True))
    record = record_of(draft=draft, caller=Caller(request_id="req-7", address="192.0.2.1"))
    record.fail(BadGateway("Claude Code failed."))
    record.close()
    facts = told()
    assert (facts["id"], facts["session"], facts["client"]) == ("req-7", "s-1", "192.0.2.1")
    assert facts["stream"] is True
    assert str(facts["error"]) == "Claude Code failed."


@pytest.mark.parametrize("error", [InvalidRequest("a secret"), KeyError("a secret")])
def test_errors_quote_nobody(told, error):
    """The line of a failed turn does not have what a caller or a model may have written."""
    record = record_of()
    record.fail(error)
    record.close()
    assert "secret" not in str(told()["error"])


@pytest.mark.parametrize("error", [None, ClientGone("x")])
def test_left(caplog, told, error):
    """A request that was closed before it was done is one whose client has left; that is normal."""
    record = record_of()
    if error:
        record.fail(error)
    record.close()
    assert told()["outcome"] == "client_gone"
    assert records_of(caplog, RequestLog)[0].levelname == "INFO"


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
