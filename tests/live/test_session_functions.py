"""Functions in sessions: calls are remembered, so clients send only the results."""

from __future__ import annotations

import json

import pytest

from tests.support.session_client import ask_both_ways, remember
from wrapper.services.messages.pairing import NO_RESULT

PROFILES = ("plain", "agent")
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTIONS = [{"name": "get_weather", "parameters": PLACE}, {"name": "get_time"}]
TOOLS = [{"type": "function", "function": one} for one in FUNCTIONS]
ROME = '[[tool get_weather {"city": "Rom"}]]'
BOTH = f'[[first Let me see.]] {ROME} [[tool get_time {{"zone": 1}}]] [[together]]'
OWN = '[[tool Bash {"command": "echo own"}]]'


def result(call, said):
    return {"role": "tool", "tool_call_id": call["id"], "content": said}


def names(answer):
    return [call["function"]["name"] for call in answer.calls]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("profile", PROFILES)
def test_two_turns(remembering, upstream, new_session, profile, stream):
    """A function is called in one turn and its result comes in the next."""
    session = new_session(remembering, profile)
    session.ask(remember("a"))
    called = session.ask(ROME, tools=TOOLS, stream=stream)
    assert (names(called), called.reason) == (["get_weather"], "tool_calls")
    told = result(called.calls[0], "remember: b")
    ask_both_ways(session, upstream, told, tools=TOOLS, stream=stream)
    assert session.ask("[[recall]]", tools=TOOLS, stream=stream).text == "a b"
    assert session.messages == session.history


@pytest.mark.parametrize("profile", PROFILES)
def test_several_calls(remembering, upstream, new_session, profile):
    """Each of several calls gets its result, in any order, with text beside them."""
    session = new_session(remembering, profile)
    called = session.ask(BOTH, tools=TOOLS)
    assert (names(called), called.text) == (["get_weather", "get_time"], "Let me see.")
    rome, time = called.calls
    answers = [result(time, "remember: b"), result(rome, "remember: a")]
    ask_both_ways(session, upstream, *answers, "What now? [[say ok]]", tools=TOOLS)
    assert session.ask("[[recall]]", tools=TOOLS).text == "b a"


def test_rounds(remembering, upstream, new_session):
    """A turn with results may call again."""
    session = new_session(remembering, "plain")
    asked = f"{ROME} [[tool get_time]] [[say done]]"
    first = session.ask(asked, tools=TOOLS)
    process = session.process
    second = ask_both_ways(session, upstream, result(first.calls[0], "remember: a"), tools=TOOLS)
    assert names(second) == ["get_time"]
    assert session.ask(result(second.calls[0], "remember: b"), tools=TOOLS).text == "done"
    assert session.process == process
    assert session.ask("[[recall]]").text == "a b"


@pytest.mark.parametrize("profile", PROFILES)
def test_functions_left_out(remembering, upstream, new_session, profile):
    """A turn with results need not repeat the functions."""
    session = new_session(remembering, profile)
    called = session.ask(ROME, tools=TOOLS)
    ask_both_ways(session, upstream, result(called.calls[0], "remember: a"), remember("b"))
    assert session.ask("[[recall]]").text == "a b"


@pytest.mark.parametrize("profile", PROFILES)
def test_first_form(remembering, upstream, new_session, profile):
    """Calls in the API's first form are remembered and answered in that form."""
    session = new_session(remembering, profile)
    called = session.ask(ROME, functions=FUNCTIONS)
    assert called.message["function_call"]["name"] == "get_weather"
    told = {"role": "function", "name": "get_weather", "content": "remember: a"}
    ask_both_ways(session, upstream, told, functions=FUNCTIONS)
    assert session.ask("[[recall]]", functions=FUNCTIONS).text == "a"
    assert session.messages == session.history


def test_agents_own_tools(remembering, upstream, new_session):
    """An agent may use its own tools with a function, and its session goes on."""
    session = new_session(remembering, "agent")
    called = session.ask(f"{OWN} {ROME}", tools=TOOLS)
    assert names(called) == ["get_weather"]
    upstream.clear()
    assert (
        session.ask(result(called.calls[0], "remember: a"), remember("b"), tools=TOOLS).text == "ok"
    )
    assert len(upstream.requests) == 1
    assert session.ask("[[recall]]", tools=TOOLS).text == "a b"


ORPHAN = {"role": "tool", "tool_call_id": "another", "content": "x"}
NO_ANSWERS = [["Never mind."], [ORPHAN], ["First:", ORPHAN]]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("said", NO_ANSWERS)
def test_not_answered(remembering, upstream, new_session, profile, said):
    """A call without a result gets one that says so, and no result is lost."""
    session = new_session(remembering, profile)
    session.ask(ROME, tools=TOOLS)
    upstream.clear()
    session.ask(*said, tools=TOOLS)
    (sent,) = upstream.requests
    told = json.dumps(sent.body["messages"])
    assert NO_RESULT in told
    assert ('"text": "x"' in told) == (ORPHAN in said)
    assert session.ask(remember("b"), tools=TOOLS).text == "ok"
    assert session.ask("[[recall]]", tools=TOOLS).text == "b"
