"""The Messages API: requests reach the model's API as they are, and answers come back unchanged."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.direct_request import call as call_directly
from tests.support.keyed_gateway import KeyedGateway
from tests.support.pictures import picture
from tests.support.server import MODEL

PATH = "/v1/messages?beta=true"
NEWEST = "claude-sonnet-5-5"
# What stands in a request for what the client has left out.
ABSENT = {
    "system": [],
    "tools": [],
    "metadata": {},
    "context_management": {"edits": []},
    "thinking": {"type": "disabled"},
}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1500}}
TOOL = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object"},
}


def body_of(*contents: Any, **more: Any) -> dict[str, Any]:
    """Return a request with these contents, of the user and the assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(contents)]
    return {"model": MODEL, "max_tokens": 2000, "messages": messages, **more}


def post(server, body, **headers):
    """Return the headers and the message of a whole answer."""
    status, received, data = server.call("POST", PATH, body, headers)
    assert status == 200, data
    return received, json.loads(data)


def stream(server, body, **headers):
    """Return the events of a streamed answer."""
    status, _, data = server.call("POST", PATH, {**body, "stream": True}, headers)
    assert status == 200, data
    frames = [frame.split("\n") for frame in data.decode().split("\n\n") if frame]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    return events


def as_text(value):
    """Return *value* as JSON: the order of its names counts, and so does 1 or 1.0."""
    return json.dumps(value, ensure_ascii=False)


def check_upstream(upstream, body):
    """Check that the model's API got *body* once, and nothing else."""
    (received,) = upstream.requests
    expected = {**ABSENT, **body, "stream": True}
    assert received.body.keys() == expected.keys()
    for name, value in expected.items():
        assert as_text(received.body[name]) == as_text(value), name


# Requests

IMAGE = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(picture()).decode()}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}
PLAIN = {"type": "text", "media_type": "text/plain", "data": "@/etc/passwd"}
BLOCKS = [
    {"type": "text", "text": "/clear @/etc/passwd\u2028😀", **MARK},
    {"type": "image", "source": IMAGE, **MARK},
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "document", "source": PDF, "title": "A", "citations": {"enabled": True}},
    {"type": "document", "source": PLAIN, "context": "more", **MARK},
    {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "x"}],
    },
    {"type": "text", "text": "[[say Hi]]"},
]
CALL = {
    "type": "tool_use",
    "id": "toolu_1",
    "name": "get_weather",
    "input": {"b": 1.5, "a": [None, 0]},
}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True}
CLIENT_TOOLS = [
    {**TOOL, "strict": True, "input_examples": [{"x": 1}], "defer_loading": True, **MARK},
    {"type": "custom", "name": "own", "input_schema": {"type": "object", "anyOf": [{}]}},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9},
    {
        "type": "computer_20250124",
        "name": "computer",
        "display_width_px": 9,
        "display_height_px": 9,
    },
    {"type": "memory_20250818", "name": "memory"},
]
REQUESTS = {
    "the least": body_of("[[say Hi]]", max_tokens=1),
    "blocks of every kind": body_of(BLOCKS, system=[{"type": "text", "text": "Be brief.", **MARK}]),
    "a failed call": body_of(
        "Weather?",
        [{"type": "text", "text": "I look."}, CALL],
        [{**RESULT, "content": "It broke."}, {"type": "text", "text": "[[say Hi]]", **MARK}],
        tools=[TOOL],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    ),
    "a call without content": body_of("[[say Hi]]", [CALL], [RESULT], tools=[TOOL]),
    "client tools of every kind": body_of("[[say Hi]]", tools=CLIENT_TOOLS),
    "all other parameters": body_of(
        "[[say Hi]]",
        system="Be brief.",
        temperature=0.25,
        top_k=4,
        stop_sequences=["END", "\n\nHuman:"],
        metadata={"user_id": "u-1"},
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        cache_control={"type": "ephemeral"},
        inference_geo="us",
        service_tier="standard_only",
        speed="standard",
    ),
    "only top_p": body_of("[[say Hi]]", model="claude-sonnet-4-5", top_p=0.5),
    "thinking": body_of("[[say Hi]]", **THINKING),
    "a system message among others": {
        **body_of("[[say Hi]]", "Hi", "[[say Ho]]", model=NEWEST),
        "messages": [
            {"role": "user", "content": "[[say Hi]]"},
            {"role": "system", "content": [{"type": "text", "text": "The date is today.", **MARK}]},
        ],
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "low"},
    },
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request(gateway, upstream, name):
    """A request reaches the model's API letter for letter, once, with nothing added to it."""
    post(gateway, REQUESTS[name])
    check_upstream(upstream, REQUESTS[name])


def test_effort(gateway, upstream):
    """Without an effort the API's default goes up, and models that always think do so."""
    post(gateway, body_of("[[say Hi]]", model=NEWEST))
    body = upstream.requests[0].body
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})


def test_thinking_loop(gateway, upstream):
    """Thinking, signed and redacted, goes back as it came, with the results of its calls."""
    asked = "[[think Let me see.]] [[redact Hm.]] [[tool get_weather]] [[say Rain.]]"
    more = {"tools": [TOOL], **THINKING}
    _, message = post(gateway, body_of(asked, **more))
    kinds = [block["type"] for block in message["content"]]
    assert kinds == ["thinking", "redacted_thinking", "tool_use"]
    assert message["stop_reason"] == "tool_use"
    upstream.clear()
    results = [{**RESULT, "tool_use_id": message["content"][-1]["id"], "content": "Rain."}]
    body = body_of(asked, message["content"], results, **more)
    _, answer = post(gateway, body)
    check_upstream(upstream, body)
    assert answer["content"][-1] == {"type": "text", "text": "Rain."}


def test_model(gateway, upstream):
    """The API gets the model that the gateway has checked and counts."""
    post(gateway, body_of("[[say Hi]]", model="anthropic/claude-sonnet-4-5"))
    assert upstream.requests[0].body["model"] == "claude-sonnet-4-5"


# Answers

WINDOW = "model_context_window_exceeded"
USAGE = '[[usage {"input_tokens": 70, "cache_read_input_tokens": 30, "cache_creation": {"x": 1}}]]'
ANSWERS = {
    "text": f"[[deltas 5]] {USAGE}",
    "thinking": "[[think Let me see.]] [[redact Hm.]] [[say Hi]]",
    "calls": '[[first Well.]] [[tool get_weather {"place": "Zürich"}]] [[tool get_weather]] '
    "[[together]]",
    **{
        reason: f"[[deltas 3]] [[stop {reason}]]"
        for reason in (
            *("max_tokens", "stop_sequence", "pause_turn", "refusal"),
            *(WINDOW, "something_new"),
        )
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(gateway, upstream, name):
    """A stream is the one of a direct call, event for event, and one request makes it."""
    body = body_of(ANSWERS[name], tools=[TOOL], **THINKING)
    events = stream(gateway, body)
    assert len(upstream.requests) == 1
    assert events == call_directly(upstream.url, upstream.requests[0].body)


def test_whole(gateway, upstream):
    """A whole answer has the usage as the API tells it, and its cost in a header."""
    headers, message = post(gateway, body_of(f"[[say Good day.]] {USAGE}"))
    assert message["content"] == [{"type": "text", "text": "Good day."}]
    assert message["usage"]["cache_read_input_tokens"] == 30
    assert message["usage"]["cache_creation"] == {"x": 1}
    assert message["usage"]["output_tokens"] == 2
    assert float(headers["x-cost-usd"]) == pytest.approx((70 * 3 + 30 * 0.3 + 2 * 15) / 1e6)
    assert "first_token;dur=" in headers["server-timing"]
    assert len(upstream.requests) == 1


@pytest.mark.thorough
def test_slow_calls(gateway, upstream):
    """Calls that the model makes slowly all arrive: Claude Code refuses the first meanwhile."""
    calls = '[[tool get_weather {"a": "0123456789"}]] [[tool get_weather {"b": "0123456789"}]]'
    body = body_of(f"{calls} [[together]] [[pause 1.5]]", tools=[TOOL])
    events = stream(gateway, body)
    assert len(upstream.requests) == 1
    kinds = [event["type"] for event in events]
    assert kinds.count("content_block_stop") == 2
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_broken_off(gateway, upstream):
    """An answer that breaks off ends with an error, and not as if it were whole."""
    events = stream(gateway, body_of("[[deltas 5]] [[break 529]]"))
    assert events[-1]["type"] == "error"
    assert not {"message_delta", "message_stop"} & {event["type"] for event in events}
    assert len(upstream.requests) == 1


# Keys


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    ceilings: dict[str, dict[str, Any]] = {
        "alice": {},
        "carol": {},
        "bob": {"models": ["haiku"], "tools": ["Read"]},
        "poor": {"usd_per_day": 0.00001},
    }
    settings = {"MESSAGES_SERVER_TOOLS": "web_search", "POOL_RECYCLE": "true"}
    folder = tmp_path_factory.mktemp("keyed")
    return KeyedGateway(_servers, folder, ceilings, POOL_SIZE_OTHER="1", **settings)


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway with keys, whose processes run further turns, and an upstream without requests."""
    return _keyed


def test_keys(keyed):
    """Each key has its own usage, and its limits hold, by either header."""
    secret = keyed.keys["carol"]
    post(keyed.server, body_of("[[say Hi]]"), **{"x-api-key": secret})
    (row,) = keyed.usage("carol")["data"]
    assert (row["requests"], row["model"]) == (1, MODEL)
    assert row["cost_usd"] > 0
    assert keyed.usage("bob")["data"] == []
    status, _, refused = keyed.call("bob", "POST", PATH, body_of("[[say Hi]]"))
    assert (status, refused["error"]["type"]) == (403, "permission_error")


def test_budget(keyed, upstream):
    """A turn whose answer ends early has its cost booked, so that the next one is refused."""
    body = body_of("[[deltas 9]] [[stop max_tokens]]")
    status, headers, _ = keyed.call("poor", "POST", PATH, body)
    assert status == 200
    assert float(headers["x-cost-usd"]) > 0
    status, _, refused = keyed.call("poor", "POST", PATH, body)
    assert (status, refused["error"]["type"]) == (429, "rate_limit_error")
    assert len(upstream.requests) == 1


def test_server_tools(keyed, upstream):
    """A tool that runs at the provider needs both the setting and the key's ceiling."""
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]
    body = body_of("[[say Hi]]", tools=tools)
    assert keyed.call("alice", "POST", PATH, body)[0] == 200
    check_upstream(upstream, body)
    status, _, refused = keyed.call("bob", "POST", PATH, {**body, "model": "haiku"})
    assert (status, refused["error"]["type"]) == (403, "permission_error")
    assert "(tools)" in refused["error"]["message"]
    assert len(upstream.requests) == 1


def test_recycling(keyed, upstream):
    """A further turn of the same process has nothing of the one before, in whatever API."""
    full = REQUESTS["all other parameters"]
    plain = {
        "messages": [{"role": "user", "content": "[[say Hi]]"}],
        "claude": {"profile": "plain"},
    }
    for name, body in (("full", full), ("the least", REQUESTS["the least"])):
        keyed.server.at_rest()
        upstream.clear()
        assert keyed.call("alice", "POST", PATH, body)[0] == 200, name
        check_upstream(upstream, body)
    assert "source=recycled" in keyed.server.log()
    keyed.server.at_rest()
    upstream.clear()
    status, _, _ = keyed.call("alice", "POST", "/v1/chat/completions", {"model": MODEL, **plain})
    assert status == 200
    assert upstream.requests[0].body["messages"][0]["content"][0]["text"] == "[[say Hi]]"


# Without an API key


@pytest.fixture(scope="module")
def logged_in(_servers):
    login = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-test-access"}
    return _servers(POOL_SIZE_OTHER="1", **login).wait()


@pytest.mark.parametrize("reason", ["max_tokens", "tool_use", "pause_turn", "refusal", WINDOW])
def test_login(logged_in, upstream, reason):
    """With a login, too, the client gets the first answer alone, and nothing is added to requests.

    At a limit Claude Code may have begun to ask the model to continue when it is killed.
    """
    directive = "[[tool get_weather]]" if reason == "tool_use" else f"[[stop {reason}]]"
    body = body_of(f"[[deltas 3]] {directive}", tools=[TOOL])
    events = stream(logged_in, body)
    direct = call_directly(upstream.url, upstream.requests[0].body)
    assert events == direct
    assert events[-2]["delta"]["stop_reason"] == reason
    asked = [request for request in upstream.requests if "Authorization" in request.headers]
    assert len(asked) == 1 or reason in ("max_tokens", WINDOW)
