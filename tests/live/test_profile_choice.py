"""Profiles: a conversation whose client runs functions gets none of Claude Code's tools."""

from __future__ import annotations

import pytest

TOOLS = [{"type": "function", "function": {"name": "look"}}]
HI = {"role": "user", "content": "hello"}
BYE = {"role": "user", "content": "And now?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
USE = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}
OLD = [
    {"role": "assistant", "content": None, "function_call": CALL["function"]},
    {"role": "function", "name": "look", "content": "42"},
]
SHAPE = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
# As AutoGen's reflection, Semantic Kernel's Required and handoffs of the Agents SDK send them.
REQUESTS = {
    "results last": {"messages": [HI, CALLS, RESULT]},
    "results and more": {"messages": [HI, CALLS, RESULT, BYE]},
    "no tools": {"messages": [HI, CALLS, RESULT], "tools": []},
    "first form": {"messages": [HI, *OLD]},
    "none": {"messages": [HI], "tools": TOOLS, "tool_choice": "none"},
    "none of none": {"messages": [HI], "tool_choice": "none"},
    "schema": {"messages": [HI], "response_format": SHAPE},
    "object": {"messages": [HI], "response_format": {"type": "json_object"}},
}


def called_with(arguments):
    function = {"name": "look", "arguments": arguments}
    return {**CALLS, "tool_calls": [{**CALL, "function": function}]}


# Whether these are accepted or refused, they make no agent.
ODD = {
    "no arguments": [HI, called_with("null"), RESULT],
    "cut arguments": [HI, called_with('{"a'), RESULT],
    "call last": [HI, CALLS],
    "result alone": [RESULT],
    "result without a call": [HI, RESULT, BYE],
    "call without a result": [HI, CALLS, BYE],
    "same id twice": [HI, CALLS, RESULT, CALLS, RESULT],
    "Anthropic's parts": [
        HI,
        {"role": "assistant", "content": [USE]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}],
        },
    ],
}


def offered(upstream):
    """Return the names of the tools in each request to the model."""
    return [{tool["name"] for tool in r.body.get("tools", ())} for r in upstream.requests]


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_no_agent(gateway, upstream, asked):
    """The model is not offered Bash."""
    gateway.ask("", **asked)
    assert upstream.requests
    assert not any("Bash" in names for names in offered(upstream))


@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
def test_no_agent_for_odd_calls(gateway, upstream, messages):
    """The model is not offered Bash for malformed calls, whether they are refused or not."""
    gateway.ask("", messages=messages)
    assert not any("Bash" in names for names in offered(upstream))


def test_an_agent_by_name(gateway, upstream):
    """With `claude.profile` the model is offered Bash in a conversation with calls."""
    status, _ = gateway.ask("", messages=[HI, CALLS, RESULT], claude={"profile": "agent"})
    assert (status, "Bash" in offered(upstream)[0]) == (200, True)


@pytest.mark.parametrize("first", [{"tools": TOOLS}, {"response_format": SHAPE}])
def test_session(remembering, upstream, first):
    """A session that began without Bash does not offer it in later requests either."""
    session = {"session_id": f"profiles-{sorted(first)}"}
    assert remembering.ask("[[json {}]]", **session, **first)[0] == 200
    assert remembering.ask("hello", **session)[0] == 200
    assert not any("Bash" in names for names in offered(upstream))
    remembering.call("DELETE", f"/v1/sessions/{session['session_id']}")


def test_session_of_an_agent(remembering, upstream):
    """A session in which an agent used its own tools stays an agent's."""
    session = {"session_id": "profiles-agent"}
    assert remembering.ask('[[tool Bash {"command": "echo own"}]]', **session)[0] == 200
    assert remembering.ask("hello", **session)[0] == 200
    assert all("Bash" in names for names in offered(upstream))
    remembering.call("DELETE", "/v1/sessions/profiles-agent")
