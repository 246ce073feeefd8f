"""The Responses API, with the real Claude Code and OpenAI's own client."""

from __future__ import annotations

import contextlib
import json

import openai
import pydantic
import pytest

from tests.support.pictures import picture, uri
from tests.support.server import MODEL

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Applies a patch."}
SPACE = {"type": "namespace", "name": "files", "tools": [{**WEATHER, "name": "read"}]}
CALL = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}


class Shape(pydantic.BaseModel):
    a: int


@contextlib.contextmanager
def responses(gateway):
    with openai.OpenAI(base_url=gateway.url, api_key="unused", max_retries=0) as client:
        yield client.responses


def create(gateway, text, **fields):
    with responses(gateway) as api:
        return api.create(model=MODEL, input=text, **fields)


def test_text(gateway, upstream):
    """Instructions and input reach the model, and its answer comes back with its usage."""
    response = create(
        gateway,
        [
            {"role": "user", "content": "[[say fine]]"},
            {"role": "assistant", "content": "so"},
            {"role": "developer", "content": "And brief."},
            {"role": "user", "content": "[[say fine]]"},
        ],
        instructions="Be kind.",
        extra_body={"claude": {"profile": "plain"}},
    )
    assert response.output_text == "fine"
    assert response.usage.output_tokens > 0
    body = upstream.requests[-1].body
    assert [block["text"] for block in body["system"]][-1] == "Be kind.\n\nAnd brief."
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


def test_stream(gateway):
    """A stream's pieces add up to its final response."""
    with (
        responses(gateway) as api,
        api.stream(model=MODEL, input="[[deltas 5]]") as events,
    ):
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()
    assert len(pieces) > 1
    assert final.output_text == "".join(pieces) == "w1 w2 w3 w4 w5"


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(gateway, upstream, streamed):
    """Calls of each kind of tool come back by the client's names; the model gets functions."""
    asked = (
        '[[first Look.]] [[tool get_weather {"city": "Oslo"}]] [[tool files__read {}]] '
        '[[tool apply_patch {"input": "a \\"b\\""}]] [[together]]'
    )
    tools = [WEATHER, PATCH, SPACE, {"type": "web_search"}]
    if streamed:
        with (
            responses(gateway) as api,
            api.stream(model=MODEL, input=asked, tools=tools) as events,
        ):
            for _ in events:
                pass
            response = events.get_final_response()
    else:
        response = create(gateway, asked, tools=tools)
    message, weather, read, patch = response.output
    assert message.content[0].text == "Look."
    assert (weather.name, json.loads(weather.arguments)) == ("get_weather", {"city": "Oslo"})
    assert (read.name, read.namespace) == ("read", "files")
    assert (patch.name, patch.input) == ("apply_patch", 'a "b"')
    sent = [tool["name"] for tool in upstream.requests[-1].body["tools"]]
    assert sent == ["get_weather", "apply_patch", "files__read"]


def test_results(gateway, upstream):
    """Texts, images and files reach the model from the output of a function."""
    output = [
        {"type": "input_text", "text": "[[say seen]]"},
        {"type": "input_image", "image_url": uri(picture())},
        {"type": "input_file", "file_data": "data:text/plain;base64,SGk=", "filename": "a.txt"},
    ]
    items = [
        {"role": "user", "content": "Look."},
        CALL,
        {"type": "function_call_output", "call_id": "c1", "output": output},
        {"role": "user", "content": "[[say seen]]"},
    ]
    assert create(gateway, items).output_text == "seen"
    result = upstream.requests[-1].body["messages"][-1]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "c1")
    assert [block["type"] for block in result["content"]] == ["text", "image", "document"]


def test_parse(gateway):
    """The library parses a structured answer."""
    with responses(gateway) as api:
        response = api.parse(model=MODEL, input='[[json {"a": 3}]]', text_format=Shape)
    assert response.output_parsed == Shape(a=3)


def test_agent(gateway):
    """An agent's tool use is shown as a summary where that is asked for."""
    response = create(
        gateway,
        '[[tool Bash {"command": "echo hi"}]]',
        extra_body={"claude": {"profile": "agent", "show_tool_use": True}},
    )
    summaries = [i.summary[0].text for i in response.output if i.type == "reasoning"]
    assert any("[Bash]" in text for text in summaries)


def test_truncated(gateway):
    """An answer that was cut is incomplete."""
    response = create(gateway, "[[deltas 5]] [[stop max_tokens]]", max_output_tokens=5)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


def test_thinking_in_a_loop(gateway, upstream):
    """The model's signed thinking goes back to it before the call that it led to."""
    asked = '[[think Where is it?]] [[tool get_weather {"city": "Oslo"}]] [[result]]'
    items = [{"role": "user", "content": asked}]
    options = {
        "tools": [WEATHER],
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    first = create(gateway, items, **options)
    reasoning, call = first.output
    assert reasoning.summary[0].text == "Where is it?"
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "Cold."})
    assert create(gateway, items, **options).output_text == "Cold."
    said = upstream.requests[-1].body["messages"][1]["content"]
    assert [block["type"] for block in said] == ["thinking", "tool_use"]
    assert said[0]["thinking"] == "Where is it?"
    assert said[0]["signature"]
