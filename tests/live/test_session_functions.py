"""Functions of sessions: a call is remembered, and its results are all that its client sends."""

from __future__ import annotations

import json

import pytest

from tests.support.talk import note, say_both_ways
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
def test_two_turns(remembering, upstream, begin, profile, stream):
    """A function is called in one turn and answered in the next, and the talk goes on."""
    talk = begin(remembering, profile)
    talk.say(note("a"))
    called = talk.say(ROME, tools=TOOLS, stream=stream)
    assert (names(called), called.reason) == (["get_weather"], "tool_calls")
    told = result(called.calls[0], "remember: b")
    say_both_ways(talk, upstream, told, tools=TOOLS, stream=stream)
    assert talk.say("[[recall]]", tools=TOOLS, stream=stream).text == "a b"
    assert talk.messages == talk.history


@pytest.mark.parametrize("profile", PROFILES)
def test_several_calls(remembering, upstream, begin, profile):
    """Of several calls each gets its own result, in any order, with what is said beside them."""
    talk = begin(remembering, profile)
    called = talk.say(BOTH, tools=TOOLS)
    assert (names(called), called.text) == (["get_weather", "get_time"], "Let me see.")
    rome, time = called.calls
    answers = [result(time, "remember: b"), result(rome, "remember: a")]
    say_both_ways(talk, upstream, *answers, "What now? [[say ok]]", tools=TOOLS)
    assert talk.say("[[recall]]", tools=TOOLS).text == "b a"


def test_rounds(remembering, upstream, begin):
    """A turn with results may call again."""
    talk = begin(remembering, "plain")
    asked = f"{ROME} [[tool get_time]] [[say done]]"
    first = talk.say(asked, tools=TOOLS)
    process = talk.process
    second = say_both_ways(talk, upstream, result(first.calls[0], "remember: a"), tools=TOOLS)
    assert names(second) == ["get_time"]
    assert talk.say(result(second.calls[0], "remember: b"), tools=TOOLS).text == "done"
    assert talk.process == process
    assert talk.say("[[recall]]").text == "a b"


@pytest.mark.parametrize("profile", PROFILES)
def test_functions_left_out(remembering, upstream, begin, profile):
    """A turn with results need not bring the functions again."""
    talk = begin(remembering, profile)
    called = talk.say(ROME, tools=TOOLS)
    say_both_ways(talk, upstream, result(called.calls[0], "remember: a"), note("b"))
    assert talk.say("[[recall]]").text == "a b"


@pytest.mark.parametrize("profile", PROFILES)
def test_first_form(remembering, upstream, begin, profile):
    """Calls in the API's first form are remembered and answered in that."""
    talk = begin(remembering, profile)
    called = talk.say(ROME, functions=FUNCTIONS)
    assert called.message["function_call"]["name"] == "get_weather"
    told = {"role": "function", "name": "get_weather", "content": "remember: a"}
    say_both_ways(talk, upstream, told, functions=FUNCTIONS)
    assert talk.say("[[recall]]", functions=FUNCTIONS).text == "a"
    assert talk.messages == talk.history


def test_agents_own_tools(remembering, upstream, begin):
    """An agent's own tools beside a function are its own affair, and its talk goes on."""
    talk = begin(remembering, "agent")
    called = talk.say(f"{OWN} {ROME}", tools=TOOLS)
    assert names(called) == ["get_weather"]
    upstream.clear()
    assert talk.say(result(called.calls[0], "remember: a"), note("b"), tools=TOOLS).text == "ok"
    assert len(upstream.requests) == 1
    assert talk.say("[[recall]]", tools=TOOLS).text == "a b"


ORPHAN = {"role": "tool", "tool_call_id": "another", "content": "x"}
NO_ANSWERS = [["Never mind."], [ORPHAN], ["First:", ORPHAN]]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("said", NO_ANSWERS)
def test_not_answered(remembering, upstream, begin, profile, said):
    """A call of the session that has no result gets one that says so, and no result is lost."""
    talk = begin(remembering, profile)
    talk.say(ROME, tools=TOOLS)
    upstream.clear()
    talk.say(*said, tools=TOOLS)
    (sent,) = upstream.requests
    told = json.dumps(sent.body["messages"])
    assert NO_RESULT in told
    assert ('"text": "x"' in told) == (ORPHAN in said)
    assert talk.say(note("b"), tools=TOOLS).text == "ok"
    assert talk.say("[[recall]]", tools=TOOLS).text == "b"
