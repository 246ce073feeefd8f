"""The client's functions and structured answers, and what reaches the model of them."""

from __future__ import annotations

import json

import openai
import pydantic
import pytest

from tests.support.server import MODEL

pytestmark = pytest.mark.clis
PLACE = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer"}},
    "required": ["city"],
    "$defs": {"city": {"type": "string", "description": "Ü"}},
}
WEATHER = {"name": "get_weather", "description": "Tells the weather.", "parameters": PLACE}
BASH = {"name": "Bash", "description": "Not Claude Code's.", "parameters": {}}
READ = {"name": "Read"}
ASKED = '[[tool get_weather {"city": "Zürich", "days": 2}]]'
DECODED = {"city": "Zürich", "days": 2}


def tools(*functions):
    return [{"type": "function", "function": function} for function in functions]


def client_of(gateway):
    return openai.OpenAI(base_url=gateway.url, api_key="unused", max_retries=0)


def ask(gateway, text, *functions, **more):
    """Return status and body; a text is a conversation of one user message."""
    return gateway.ask(text, tools=tools(*(functions or (WEATHER,))), **more)


def message_of(answer):
    status, body = answer
    assert status == 200, body
    return body["choices"][0]["message"]


def test_streamed(gateway, upstream):
    """Calls are streamed, several in one answer, with the text before them."""
    asked = f'[[first Let me see.]] {ASKED} [[tool Read]] [[tool Bash {{"a": [1]}}]] [[together]]'
    events, _ = gateway.stream(asked, tools=tools(WEATHER, BASH, READ))
    deltas = [event["choices"][0]["delta"] for event in events]
    pieces = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert len(pieces) > 6
    calls: dict[int, dict[str, str]] = {}
    for piece in pieces:
        function = piece["function"]
        if "id" in piece:
            assert piece["index"] == len(calls)
            calls[piece["index"]] = {"name": function["name"], "arguments": ""}
        calls[piece["index"]]["arguments"] += function["arguments"]
    told = [(call["name"], json.loads(call["arguments"])) for call in calls.values()]
    assert told == [("get_weather", DECODED), ("Read", {}), ("Bash", {"a": [1]})]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Let me see."
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert len({piece["id"] for piece in pieces if "id" in piece}) == 3
    assert len(upstream.requests) == 1


def test_a_function_never_runs_here(gateway, upstream, tmp_path):
    """A function with the name of a Claude Code tool is still the client's."""
    touched = tmp_path / "touched"
    asked = f'[[tool Bash {{"command": "touch {touched}"}}]]'
    (call,) = message_of(ask(gateway, asked, BASH))["tool_calls"]
    assert call["function"]["name"] == "Bash"
    assert not touched.exists()
    assert len(upstream.requests) == 1


def test_many_and_long(gateway, upstream):
    """128 functions with descriptions of 9,000 characters arrive whole."""
    many = [
        {"name": f"f{number}_{'x' * 55}", "description": "d" * 9000, "parameters": PLACE}
        for number in range(128)
    ]
    message_of(ask(gateway, "hello", *many))
    sent = upstream.requests[0].body["tools"]
    assert [tool["name"] for tool in sent] == [one["name"] for one in many]
    assert {tool["description"] for tool in sent} == {"d" * 9000}


REFUSED = [
    ({"name": "a b"}, "tools.0.function.name"),
    ({"name": "a" * 65}, "tools.0.function.name"),
    ({"name": "f", "parameters": {"anyOf": [PLACE]}}, "tools.0.function.parameters"),
    ({"name": "f", "parameters": {"type": "array"}}, "tools.0.function.parameters"),
    ({"name": "f", "parameters": {**PLACE, "required": 5}}, "tools.0.function.parameters"),
    (
        {"name": "f", "parameters": {**PLACE, "properties": {"a": {"$ref": "http://127.0.0.1/x"}}}},
        "tools.0.function.parameters",
    ),
]


@pytest.mark.parametrize(("function", "param"), REFUSED)
def test_refused(gateway, upstream, function, param):
    """A function that cannot reach the model as described is refused by name."""
    status, body = ask(gateway, "hello", function)
    assert (status, body["error"]["param"]) == (400, param)
    assert not upstream.requests


def test_limit_in_a_call(gateway, upstream):
    """A call that max_tokens cuts off ends with length, and is not reported as whole."""
    status, body = ask(gateway, f"{ASKED} [[stop max_tokens]]", max_tokens=5)
    assert status == 200
    assert body["choices"][0]["finish_reason"] in ("length", "tool_calls")
    assert len(upstream.requests) == 1


AGENT = {"profile": "agent"}
OWN = '[[tool Bash {"command": "echo own"}]]'


@pytest.mark.parametrize("stream", [False, True])
def test_agents_functions(gateway, upstream, stream):
    """An agent uses its own tools, and its turn ends at the client's functions."""
    asked = f"{OWN} {ASKED}"
    more = {"tools": tools(WEATHER, BASH), "claude": AGENT}
    if stream:
        events, _ = gateway.stream(asked, stream_options={"include_usage": True}, **more)
        deltas = [e["choices"][0]["delta"] for e in events[:-1]]
        pieces = [call for delta in deltas for call in delta.get("tool_calls", [])]
        name = pieces[0]["function"]["name"]
        arguments = "".join(piece["function"]["arguments"] for piece in pieces)
        usage, reason = events[-1]["usage"], events[-2]["choices"][0]["finish_reason"]
    else:
        status, body = gateway.ask(asked, **more)
        assert status == 200, body
        choice = body["choices"][0]
        (call,) = choice["message"]["tool_calls"]
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        usage, reason = body["usage"], choice["finish_reason"]
    assert (name, json.loads(arguments), reason) == ("get_weather", DECODED, "tool_calls")
    assert usage["cost_usd"] > 0
    offered = {tool["name"]: tool for tool in upstream.requests[0].body["tools"]}
    assert {"Bash", "Read", "mcp__client__Bash", "mcp__client__get_weather"} <= set(offered)
    assert offered["mcp__client__get_weather"]["input_schema"] == PLACE
    assert len(upstream.requests) == 2


def test_agents_choice(gateway, upstream):
    """An agent can be made to call a client's function, or be offered none."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    called = message_of(ask(gateway, "hello", tool_choice=choice, claude=AGENT))
    assert called["tool_calls"][0]["function"]["name"] == "get_weather"
    sent = upstream.requests[0].body["tool_choice"]
    assert sent == {"type": "tool", "name": "mcp__client__get_weather"}
    said = message_of(ask(gateway, "[[say no]]", tool_choice="none", claude=AGENT))
    assert said["content"] == "no"
    names = {tool["name"] for tool in upstream.requests[1].body["tools"]}
    assert "Bash" in names
    assert not any(name.startswith("mcp__") for name in names)


def test_agents_long_description(gateway, upstream):
    """A description that an agent's model would not get whole is refused by name."""
    function = {**WEATHER, "description": "d" * 4097}
    status, body = ask(gateway, "hello", function, claude=AGENT)
    assert (status, body["error"]["param"]) == (400, "tools")
    assert "get_weather" in body["error"]["message"]
    assert not upstream.requests


@pytest.mark.parametrize("stream", [False, True])
def test_agents_shape(gateway, upstream, stream):
    """An agent may use its tools before its structured answer; its other text is left out."""
    asked = f'{OWN} [[tool StructuredOutput {{"city": "Rom", "stops": []}}]]'
    more = {"response_format": FORMAT, "claude": AGENT}
    if stream:
        events, _ = gateway.stream(asked, **more)
        text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events)
        reason = events[-1]["choices"][0]["finish_reason"]
    else:
        status, body = gateway.ask(asked, **more)
        assert status == 200, body
        text = body["choices"][0]["message"]["content"]
        reason = body["choices"][0]["finish_reason"]
    assert (json.loads(text), reason) == ({"city": "Rom", "stops": []}, "stop")
    assert len(upstream.requests) == 2


class Trip(pydantic.BaseModel):
    """A model class, from which the client library makes a schema."""

    city: str
    stops: list[str]


SHAPE = {"name": "trip", "schema": Trip.model_json_schema(), "strict": True}
FORMAT = {"type": "json_schema", "json_schema": SHAPE}
FITS = '[[json {"city": "Zürich", "stops": ["a", "b"]}]]'


@pytest.mark.parametrize("stream", [False, True])
def test_shape(gateway, upstream, stream):
    """A structured answer takes one request, and is streamed as content."""
    if stream:
        events, _ = gateway.stream(FITS, response_format=FORMAT)
        deltas = [event["choices"][0]["delta"].get("content") or "" for event in events]
        text, reason = "".join(deltas), events[-1]["choices"][0]["finish_reason"]
        assert sum(map(bool, deltas)) > 2
    else:
        status, body = gateway.ask(FITS, response_format=FORMAT)
        assert status == 200, body
        message = body["choices"][0]["message"]
        assert "tool_calls" not in message
        text, reason = message["content"], body["choices"][0]["finish_reason"]
    assert (json.loads(text), reason) == ({"city": "Zürich", "stops": ["a", "b"]}, "stop")
    sent = upstream.requests[0].body
    assert [tool["input_schema"] for tool in sent["tools"]] == [SHAPE["schema"]]
    assert sent["tool_choice"] == {"type": "tool", "name": "trip"}
    assert len(upstream.requests) == 1


def test_parse(gateway):
    """The client library's parser accepts the answer."""
    with client_of(gateway) as client:
        answer = client.chat.completions.parse(
            model=MODEL,
            messages=[{"role": "user", "content": FITS}],
            response_format=Trip,
        )
    assert answer.choices[0].message.parsed == Trip(city="Zürich", stops=["a", "b"])


@pytest.mark.parametrize("stream", [False, True])
def test_misfit(gateway, upstream, stream):
    """An answer that does not fit its schema is an error, in mid-stream an error event.

    The model is asked once more if nothing was sent to the client yet.
    """
    asked = '[[json {"city": 5}]]'
    if stream:
        events, raw = gateway.stream(asked, response_format=FORMAT)
        error = events[-1]["error"]
        assert not raw.endswith(b"[DONE]\n\n")
    else:
        status, body = gateway.ask(asked, response_format=FORMAT)
        error = body["error"]
        assert status == 502
    assert error["code"] == "invalid_model_answer"
    assert "'trip'" in error["message"]
    assert len(upstream.requests) == (1 if stream else 2)


THINKS = "sonnet"  # always


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "asked",
    [
        '[[tool trip {"city": "Rom", "stops": []}]]',
        '[[say {"city": "Rom", "stops": []}]]',
    ],
)
def test_shape_of_one_who_thinks(gateway, upstream, stream, asked):
    """A model that always thinks is asked, not forced, for a structured answer."""
    more = {"response_format": FORMAT, "model": THINKS}
    if stream:
        events, _ = gateway.stream(asked, **more)
        text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events)
    else:
        status, body = gateway.ask(asked, **more)
        assert status == 200, body
        text = body["choices"][0]["message"]["content"]
    assert json.loads(text) == {"city": "Rom", "stops": []}
    assert "tool_choice" not in upstream.requests[0].body
    assert len(upstream.requests) == 1


def call(gateway, text, **more):
    """Return headers and body of a completion with a function."""
    messages = [{"role": "user", "content": text}]
    body = {"model": MODEL, "messages": messages, "tools": tools(WEATHER), **more}
    status, headers, data = gateway.call("POST", "/v1/chat/completions", body)
    assert status == 200, data
    return headers, json.loads(data)


def test_thinking_beside_a_forced_call(gateway, upstream):
    """A forced call switches thinking off, and a header names that."""
    headers, _ = call(gateway, ASKED, tool_choice="required", reasoning_effort="low")
    assert headers["x-ignored-params"] == "reasoning_effort"
    assert len(upstream.requests) == 1


NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize("profile", ["plain", "agent"])
@pytest.mark.parametrize("choice", ["required", NAMED])
def test_a_call_of_one_who_thinks(gateway, upstream, choice, profile):
    """A model that cannot be forced is told what to call, and asked again if it does not."""
    more = {"model": THINKS, "tool_choice": choice, "claude": {"profile": profile}}
    headers, body = call(gateway, f"[[say No.]] [[later]] {ASKED}", **more)
    message = body["choices"][0]["message"]
    (called,) = message["tool_calls"]
    assert (message["content"], json.loads(called["function"]["arguments"])) == (None, DECODED)
    assert headers["x-adapted-params"] == headers["x-retried-params"] == "tool_choice"
    first, second = (request.body for request in upstream.requests)
    assert "tool_choice" not in first
    assert body["usage"]["prompt_tokens"] > 0
    (answer,) = (each for each in second["messages"] if each["role"] == "assistant")
    assert answer["content"][0]["text"] == "No."
    texts = [block["text"] for m in first["messages"] for block in m["content"]]
    assert any("calling the function get_weather" in text for text in texts)
    if profile == "plain":
        blocks = first["messages"][-1]["content"]
        assert ["cache_control" in block for block in blocks] == [True, False]
        assert second["messages"][0]["content"][1:] == blocks[1:]


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_a_session_of_one_who_thinks(gateway, upstream, profile):
    """Text before the repeated request is not part of the session."""
    more = {"model": THINKS, "session_id": f"late-{profile}", "claude": {"profile": profile}}
    _, body = call(gateway, f"[[say No.]] [[later]] {ASKED}", tool_choice="required", **more)
    (called,) = body["choices"][0]["message"]["tool_calls"]
    result = {"role": "tool", "tool_call_id": called["id"], "content": "Rain"}
    prompt = {"role": "user", "content": "[[say Well.]]"}
    status, answer = gateway.ask("", messages=[result, prompt], tools=tools(WEATHER), **more)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "Well.")
    sent = [json.dumps(request.body["messages"]) for request in upstream.requests]
    assert ['No."' in one for one in sent] == [False, True, False]
    assert ["by calling the function" in one for one in sent] == [True, True, False]


def test_a_stream_of_one_who_thinks(gateway, upstream):
    """Text before the repeated request is not in the stream."""
    more = {"model": THINKS, "tool_choice": "required", "tools": tools(WEATHER)}
    options = {"stream_options": {"include_usage": True}}
    events, _ = gateway.stream(f"[[say No.]] [[later]] {ASKED}", **more, **options)
    deltas = [e["choices"][0]["delta"] for e in events[:-1]]
    assert "".join(delta.get("content") or "" for delta in deltas) == ""
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert events[-2]["notes"] == {"x-retried-params": "tool_choice"}
    assert events[-1]["usage"]["cost_usd"] > 0
    assert len(upstream.requests) == 2


def test_a_shape_asked_for_once_more(gateway, upstream):
    """A strict answer that does not fit is asked for again, with the reason."""
    asked = '[[json {"city": 5}]] [[again {"city": "Rom", "stops": []}]]'
    headers, body = call(gateway, asked, response_format=FORMAT, tools=[])
    assert json.loads(body["choices"][0]["message"]["content"]) == {"city": "Rom", "stops": []}
    assert headers["x-retried-params"] == "response_format"
    reminder = upstream.requests[1].body["messages"][-1]["content"][-1]["text"]
    assert "stops" in reminder


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_a_fenced_answer(gateway, profile):
    """A text answer with JSON in a code fence is accepted without the fence."""
    asked = '[[say ```json\n{"city": "Rom", "stops": []}\n```]]'
    more = {"response_format": FORMAT, "model": THINKS, "tools": []}
    _, body = call(gateway, asked, claude={"profile": profile}, **more)
    assert body["choices"][0]["message"]["content"] == '{"city": "Rom", "stops": []}'


@pytest.mark.parametrize(
    "shape",
    [
        {"name": "x", "schema": {"type": "nonsense"}},
        {"name": "x", "schema": {"type": "array"}},
        {"name": "x y", "schema": PLACE},
        {"schema": PLACE},
    ],
)
def test_no_shape(gateway, upstream, shape):
    """An invalid schema is refused before the model is asked."""
    status, body = gateway.ask(
        "hello", response_format={"type": "json_schema", "json_schema": shape}
    )
    assert status == 400
    assert body["error"]["param"].startswith("response_format.json_schema")
    assert not upstream.requests
