"""Thinking survives a tool loop: the model gets its signed thinking blocks back unchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import openai
import pytest

from wrapper.services.messages.thinking_codec import dump_thinking, load_thinking
from wrapper.services.turn import Thinking

BUDGET = "claude-sonnet-4-5"
NEWEST = "claude-sonnet-5-5"
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": PLACE}},
    {"type": "function", "function": {"name": "get_time"}},
]
THINK = "[[think Which city?]] [[redact A secret.]] [[first Let me see.]]"
ROME = '[[tool get_weather {"city": "Rom"}]]'
TIME = '[[tool get_time {"zone": 1}]]'
THINKS = {"reasoning_effort": "low", "tools": TOOLS}


def result(call, text="Sun."):
    return {"role": "tool", "tool_call_id": call["id"], "content": text}


def kinds(message):
    return [block["type"] for block in message["content"]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [BUDGET, NEWEST])
def test_tool_loop(remembering, upstream, new_session, model, stream):
    """Thinking and redacted thinking return before the calls, with their signatures."""
    session = new_session(remembering, "plain")
    more = {**THINKS, "model": model, "stream": stream}
    called = session.ask(f"{THINK} {ROME} {TIME} [[together]]", **more)
    upstream.clear()
    answer = session.ask(*map(result, called.calls), "[[say Sunny.]]", **more)
    assert answer.text == "Sunny."
    (sent,) = upstream.requests
    assistant = sent.body["messages"][1]
    thinking = ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]
    assert kinds(assistant) == thinking
    assert assistant["content"][0]["thinking"] == "Which city?"
    assert "x-ignored-params" not in answer.headers


def sent_kinds(upstream, at=1):
    """Return the kinds of blocks in message *at* of the only request."""
    (sent,) = upstream.requests
    return kinds(sent.body["messages"][at])


@pytest.mark.parametrize("model", [BUDGET, NEWEST])
def test_rounds(remembering, upstream, new_session, model):
    """Each round of a loop keeps its own thinking."""
    session = new_session(remembering, "plain")
    more = {**THINKS, "model": model}
    first = session.ask(f"{THINK} {ROME} {TIME} [[say Done.]]", **more)
    second = session.ask(result(first.calls[0]), **more)
    upstream.clear()
    assert session.ask(result(second.calls[0]), **more).text == "Done."
    thinking = ["thinking", "redacted_thinking", "text", "tool_use"]
    assert [sent_kinds(upstream, at) for at in (1, 3)] == [thinking] * 2
    upstream.clear()
    assert session.ask("And now? [[say Bye.]]", **more).text == "Bye."
    assert sent_kinds(upstream) == thinking


@pytest.mark.parametrize(("model", "ignored"), [(BUDGET, "reasoning_effort"), (NEWEST, None)])
def test_lost_thinking(remembering, upstream, new_session, model, ignored):
    """Without a session the client cannot return thinking: a model with a budget stops to think."""
    session = new_session(remembering, "plain")
    more = {**THINKS, "model": model}
    called = session.ask(f"{THINK} {ROME}", **more)
    upstream.clear()
    answer = session.ask_without_session(result(called.calls[0]), "[[say Sunny.]]", **more)
    assert (answer.text, answer.headers.get("x-ignored-params")) == ("Sunny.", ignored)
    assert sent_kinds(upstream) == ["text", "tool_use"]
    assert (upstream.requests[0].body["thinking"]["type"] == "disabled") == (ignored is not None)


CHANGES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "another model": (NEWEST, {"model": "claude-haiku-5-5"}, False),
    "no effort": (BUDGET, {"reasoning_effort": None}, False),
    "other tools, bound": (NEWEST, {"tools": TOOLS[:1]}, False),
    "other tools": (BUDGET, {"tools": TOOLS[:1]}, True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_loop(remembering, upstream, new_session, change):
    """What the API would refuse after a change in the middle of a loop is left out."""
    model, changed, kept = CHANGES[change]
    session = new_session(remembering, "plain")
    more = {**THINKS, "model": model}
    called = session.ask(f"{THINK} {ROME}", **more)
    upstream.clear()
    more = {name: value for name, value in {**more, **changed}.items() if value is not None}
    answer = session.ask(result(called.calls[0]), "[[say Sunny.]]", **more)
    assert answer.text == "Sunny."
    assert ("thinking" in sent_kinds(upstream)) == kept


@pytest.mark.parametrize("model", [BUDGET, NEWEST])
@pytest.mark.parametrize("own", ["", '[[tool Bash {"command": "echo own"}]]'])
def test_agent(remembering, upstream, new_session, model, own):
    """An agent's loop with functions of the client goes on, whatever it thought."""
    session = new_session(remembering, "agent")
    more = {"tools": TOOLS, "model": model}
    called = session.ask(f"{THINK} {own} {ROME}", **more)
    assert len(called.calls) == 1
    assert session.ask(result(called.calls[0]), "[[say Sunny.]]", **more).text == "Sunny."


def test_demanded_call(remembering, upstream, new_session):
    """A loop goes on where the model was asked for a call, and asked again, with reminders."""
    session = new_session(remembering, "plain")
    more = {**THINKS, "model": NEWEST}
    called = session.ask(f"{THINK} {ROME} [[later]]", **more, tool_choice="required")
    upstream.clear()
    assert session.ask(result(called.calls[0]), "[[say Sunny.]]", **more).text == "Sunny."
    assert sent_kinds(upstream) == ["text", "tool_use"]


def respond(server, model, asked, **more):
    with openai.OpenAI(base_url=server.url, api_key="unused", max_retries=0) as client:
        create: Any = client.responses.with_raw_response.create
        raw = create(
            model=model,
            input=asked,
            tools=[{"type": "function", **tool["function"]} for tool in TOOLS],
            include=["reasoning.encrypted_content"],
            reasoning={"effort": "low"},
            **more,
        )
    return raw.parse(), raw.headers


def output_of(items):
    """Return what a client sends back: the items, and a result for each call."""
    calls = [item.call_id for item in items if item.type == "function_call"]
    results = [{"type": "function_call_output", "call_id": c, "output": "Sun."} for c in calls]
    return [*(item.model_dump(exclude_none=True) for item in items), *results]


@pytest.mark.parametrize("model", [BUDGET, NEWEST])
def test_responses(remembering, upstream, model):
    """In the Responses API the client keeps the thinking, encrypted, and sends it back."""
    asked = [{"role": "user", "content": f"{THINK} {ROME} {TIME} [[together]]"}]
    called, _ = respond(remembering, model, asked)
    upstream.clear()
    done = {"role": "user", "content": "[[say Sunny.]]"}
    answer, _ = respond(remembering, model, [*asked, *output_of(called.output), done])
    assert answer.output_text == "Sunny."
    thinking = ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]
    assert sent_kinds(upstream) == thinking


@pytest.mark.parametrize(("model", "ignored"), [(BUDGET, "reasoning.effort"), (NEWEST, None)])
def test_refused_thinking(remembering, upstream, model, ignored):
    """Where the API refuses thinking that a client has altered, the turn runs without it."""
    asked = [{"role": "user", "content": f"{THINK} {ROME}"}]
    called, _ = respond(remembering, model, asked)
    items = output_of(called.output)
    first, *others = load_thinking(items[0]["encrypted_content"])
    assert isinstance(first, Thinking)
    items[0]["encrypted_content"] = dump_thinking([replace(first, text="x"), *others])
    upstream.clear()
    done = {"role": "user", "content": "[[say Sunny.]]"}
    answer, headers = respond(remembering, model, [*asked, *items, done])
    assert (answer.output_text, headers.get("x-ignored-params")) == ("Sunny.", ignored)
    refused, _answered = upstream.requests
    assert refused.ended == "refused"
