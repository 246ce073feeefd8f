"""Subagents of the operator: off by default, enabled by name, and bounded like their agents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL

SUBAGENTS = {
    "reviewer": {
        "description": "Reviews texts.",
        "prompt": "You review. PROMPT-5d1e",
        "tools": ["Read", "Bash"],
    },
    "writer": {"description": "Writes texts.", "prompt": "You write.", "tools": ["Write"]},
    "unused": {"description": "UNUSED-77aa", "prompt": "You do nothing.", "tools": []},
}
KEYS: dict[str, dict[str, Any]] = {
    "alice": {},
    "bob": {"tools": ["Read", "Bash"]},
    "carol": {"disallowed_tools": ["Agent(writer)"]},
    "poor": {"usd_per_day": 0.2},
    "broke": {"usd_per_day": 0.2},
    "cheap": {"models": [MODEL]},
    "plain": {"profile": "plain"},
    # Each of these has one turn.
    "payer": {},
    "counted": {},
}
# Claude Code's own subagents, and what it says to the model of them.
BUILT_IN = ("- general-purpose", "- claude", "- Explore", "- Plan", "statusline-setup", "fork")


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("subagents")
    file = folder / "subagents.json"
    file.write_text(json.dumps(SUBAGENTS))
    return KeyedGateway(
        _servers,
        folder,
        KEYS,
        CLAUDE_TOOLS="Read,Write,Bash,Agent",
        CLAUDE_SUBAGENTS="reviewer,writer",
        CLAUDE_SUBAGENTS_FILE=str(file),
        POOL_SIZE_OTHER="0",
        DEFAULT_MODEL=MODEL,
    )


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway with two subagents, and an upstream without requests."""
    return _keyed


def call(kind, text, **more):
    """Return the directive that hands a task to a subagent, which gets *text* as its script."""
    arguments = {"description": "x", "prompt": text, "subagent_type": kind, **more}
    return f"[[tool Agent {json.dumps(arguments)}]]".replace("[[", r"\u005b[").replace(
        r"\u005b[", "[[", 1
    )


def ask(keyed, name, text, **claude):
    status, body = keyed.ask(name, f"[[say end]] {text}", claude={"profile": "agent", **claude})
    assert status == 200, body
    return body


def results(upstream):
    """Return the results of the agent's tools as a text."""
    blocks = [
        block
        for message in upstream.requests[-1].body["messages"]
        for block in message["content"]
        if message["role"] == "user"
    ]
    return json.dumps([block for block in blocks if block["type"] == "tool_result"])


def stats(keyed, name):
    return {line["tool"]: line for line in keyed.call(name, "GET", "/v1/tools/stats")[2]["data"]}


def test_a_subagent_answers_its_agent(keyed, upstream):
    """A subagent has its own prompt and tools, and only its report reaches the agent, no client."""
    body = ask(keyed, "payer", call("reviewer", "[[say SECRET-REPORT]]"))
    agent, subagent, last = upstream.requests
    assert body["choices"][0]["message"]["content"] == "end"
    assert "SECRET-REPORT" not in json.dumps(body)
    assert "SECRET-REPORT" in results(upstream)
    assert "PROMPT-5d1e" in json.dumps(subagent.body["system"])
    assert {tool["name"] for tool in subagent.body["tools"]} == {"Read", "Bash"}
    told = json.dumps(agent.body)
    assert "Reviews texts." in told
    assert "Writes texts." in told
    assert "UNUSED-77aa" not in told
    assert not [told[told.index(name) - 200 :][:400] for name in BUILT_IN if name in told]
    # All three requests are paid for.
    assert last.body["messages"][-1]["role"] == "user"
    (line,) = keyed.usage("payer")["data"]
    assert line["prompt_tokens"] == body["usage"]["prompt_tokens"]
    assert line["cost_usd"] > 0


def test_stream(keyed):
    """Nothing that a subagent writes is in the stream."""
    text = f"[[say end]] {call('reviewer', '[[say HIDDEN]]')}"
    messages: Any = [{"role": "user", "content": text}]
    more: Any = {"stream": True, "extra_body": {"claude": {"profile": "agent"}}}
    with (
        keyed.client("alice") as client,
        client.chat.completions.create(model=MODEL, messages=messages, **more) as stream,
    ):
        texts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(texts) == "end"


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("fork", {}, "There is no such subagent"),
        ("general-purpose", {}, "There is no such subagent"),
        ("unused", {}, "There is no such subagent"),
        ("reviewer", {"isolation": "worktree"}, "cannot be called with isolation"),
        ("reviewer", {"model": "opus"}, ""),
    ],
)
def test_what_a_call_may_not(keyed, upstream, kind, more, says):
    """No other subagent runs, none in a directory of its own, and none with another model."""
    ask(keyed, "cheap", call(kind, "hello", **more))
    assert len(upstream.requests) == (3 if kind == "reviewer" and not says else 2)
    assert {request.body["model"] for request in upstream.requests} == {MODEL}
    assert says in results(upstream)


def test_tools_of_a_subagent(keyed, upstream):
    """A subagent's tools have the limits of its agent's, and are counted."""
    script = '[[say done]] [[tool Read {"file_path": "no"}]] [[tool Bash {"command": "touch x"}]]'
    ask(keyed, "counted", call("reviewer", script))
    assert "denied" in json.dumps(upstream.requests[-2].body["messages"])
    lines = stats(keyed, "counted")
    assert set(lines) == {"Agent", "Read", "Bash"}
    assert (lines["Agent"]["uses"], lines["Agent"]["failures"]) == (1, 0)
    assert lines["Bash"]["denials"] == 1


def test_keys_that_may_not(keyed, upstream):
    """A key's limits take subagents away, and the listing says by which rule."""
    ask(keyed, "bob", call("reviewer", "hello"))
    assert len(upstream.requests) == 2
    assert "denied" in results(upstream)
    upstream.clear()
    ask(keyed, "carol", call("writer", "hello"))
    assert len(upstream.requests) == 2
    assert "Writes texts." not in json.dumps(upstream.requests[0].body)


def test_listing(keyed):
    """Subagents are listed with what decides on them."""

    def access(name):
        status, _, body = keyed.call(name, "GET", "/v1/tools")
        assert status == 200, body
        listed = [tool for tool in body["data"] if tool["origin"] == "subagent"]
        assert [tool["description"] for tool in listed] == ["Reviews texts.", "Writes texts."]
        return {tool["name"]: (tool["access"], (tool["rule"] or {}).get("name")) for tool in listed}

    both = ("Agent(reviewer)", "Agent(writer)")
    assert access("alice") == dict.fromkeys(both, ("allowed", None))
    assert access("bob") == dict.fromkeys(both, ("denied", "tools"))
    assert access("plain") == dict.fromkeys(both, ("denied", "profile"))
    denied = ("denied", "disallowed_tools")
    assert access("carol") == {"Agent(reviewer)": ("allowed", None), "Agent(writer)": denied}


def test_rounds(keyed, upstream):
    """The rounds of a subagent count against max_turns."""
    script = "[[say done]] " + '[[tool Read {"file_path": "no"}]] ' * 6
    body = ask(keyed, "alice", call("reviewer", script), max_turns=2)
    assert body["choices"][0]["finish_reason"] == "length"
    assert len(upstream.requests) == 3


def test_budget(keyed, upstream):
    """A subagent stops when the budget is spent, before it asks the model again."""
    script = '[[usage {"input_tokens": 100000}]] ' + '[[tool Read {"file_path": "no"}]] ' * 6
    body = ask(keyed, "poor", call("reviewer", script))
    assert body["choices"][0]["finish_reason"] == "length"
    assert len(upstream.requests) == 2
    status, body = keyed.ask("poor", "hello")
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")


def test_spent_before_the_start(keyed, upstream):
    """No subagent starts once the agent's own answer has spent the budget."""
    body = ask(keyed, "broke", f'[[usage {{"input_tokens": 100000}}]] {call("reviewer", "hello")}')
    assert body["choices"][0]["finish_reason"] == "length"
    assert len(upstream.requests) == 1


def test_a_callers_text_starts_none(keyed, upstream):
    """A text that names a subagent, or begins with a slash, is a text."""
    text = "/reviewer @reviewer (agent) please"
    ask(keyed, "alice", text)
    assert len(upstream.requests) == 1
    assert text in json.dumps(upstream.requests[0].body["messages"])
