"""The fold of a response's events: it gives what the stream has told so far."""

import pytest

from wrapper.schemas.responses.request import RESPONSE_REQUEST
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    ReasoningDelta,
    Started,
    TextDelta,
    Thought,
)
from wrapper.services.fronts.response_fold import ResponseFold
from wrapper.services.fronts.responses import ResponsesPresenter
from wrapper.services.spent import Usage

TOOLS = [
    {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": "c"},
]
REQUEST = {"input": "Hi", "tools": TOOLS, "reasoning": {"summary": "auto"}}
STEPS = (
    *(Started("m"), ReasoningDelta("Hm"), ReasoningDelta("m."), Thought("Hmm.", "s", "p")),
    *(TextDelta("Hel"), TextDelta("lo."), CallStarted(0, "c1", "f"), CallDelta(0, '{"a":')),
    *(CallDelta(0, "1}"), CallStarted(1, "c2", "c"), CallDelta(1, '{"input":"x')),
)
ENDED = Ended(Ending.CALLS, Usage(input=3, output=2), 0.001)


def open_fold(count):
    """Return the fold of the events of this number of steps."""
    presenter = ResponsesPresenter(RESPONSE_REQUEST.load(REQUEST), lambda notes: {})
    fold = ResponseFold(presenter.queued("m"))
    items = [*((0, step) for step in STEPS[:count]), None]
    for event in presenter.chunks(items):
        if event is None:  # what follows would end the response
            break
        fold.add(event)
    return fold


def test_queued():
    """Without an event it is the response that was queued."""
    presenter = ResponsesPresenter(RESPONSE_REQUEST.load(REQUEST), lambda notes: {})
    queued = presenter.queued("m")
    assert (queued["status"], queued["model"], queued["output"]) == ("queued", "m", [])
    assert ResponseFold(queued).ended("cancelled") == {**queued, "status": "cancelled"}


def test_all_items():
    """The events of items add up to the output of the last event."""
    presenter = ResponsesPresenter(RESPONSE_REQUEST.load(REQUEST), lambda notes: {})
    items = [(0, step) for step in (*STEPS, CallDelta(1, 'y"}'), ENDED)]
    *events, last = (event for event in presenter.chunks(items) if event)
    fold = ResponseFold({})
    for event in events:
        fold.add(event)
    assert len(last["response"]["output"]) == 4
    assert fold.running()["output"] == last["response"]["output"]


@pytest.mark.parametrize(
    ("count", "kind", "field", "value"),
    [
        (2, "reasoning", "summary", [{"type": "summary_text", "text": "Hm"}]),
        (3, "reasoning", "summary", [{"type": "summary_text", "text": "Hmm."}]),
        (8, "function_call", "arguments", '{"a":'),
        (11, "custom_tool_call", "input", "x"),
    ],
)
def test_open(count, kind, field, value):
    """While an item is written, the output has it as far as it is."""
    response = open_fold(count).running()
    assert response["status"] == "in_progress"
    assert response["output"][-1]["type"] == kind
    assert response["output"][-1][field] == value


def test_ended_early():
    """A message that was cut is incomplete, and the error says why."""
    error = {"code": "worker_lost", "message": "The process has ended."}
    response = open_fold(5).ended("failed", error)
    assert (response["status"], response["error"]) == ("failed", error)
    reasoning, message = response["output"]
    assert reasoning["type"] == "reasoning"
    assert (message["status"], message["content"][0]["text"]) == ("incomplete", "Hel")


def test_cut_call():
    """A call that was cut is left out, as nobody could answer it."""
    output = open_fold(8).ended("cancelled")["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]
