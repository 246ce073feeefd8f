"""The Messages API: requests reach the model's API as they are, and answers come back unchanged."""

from __future__ import annotations

import json
from typing import Any

from tests.support.server import MODEL

PATH = "/v1/messages?beta=true"


def body_of(*contents: Any, **more: Any) -> dict[str, Any]:
    """Return a request with these contents, of the user and the assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(contents)]
    return {"model": MODEL, "max_tokens": 2000, "messages": messages, **more}


def post(server, body, **headers):
    """Return the status, headers and parsed body of a request."""
    status, received, data = server.call("POST", PATH, body, headers)
    return status, received, json.loads(data)


def stream(server, body):
    """Return the names of a stream's frames, and their data."""
    status, _, data = server.call("POST", PATH, {**body, "stream": True})
    assert status == 200, data
    frames = [frame.split("\n") for frame in data.decode().split("\n\n") if frame]
    names = [name.removeprefix("event: ") for name, _ in frames]
    return names, [json.loads(data.removeprefix("data: ")) for _, data in frames]


def test_whole(gateway, upstream):
    """A message is put together from the API's events."""
    status, headers, message = post(gateway, body_of("[[say Good day.]]"))
    assert status == 200, message
    assert message["content"] == [{"type": "text", "text": "Good day."}]
    assert message["stop_reason"] == "end_turn"
    assert float(headers["x-cost-usd"]) > 0
    assert len(upstream.requests) == 1


def test_stream(gateway, upstream):
    """A stream has the API's events, each under its type."""
    names, events = stream(gateway, body_of("[[say Hi]]"))
    assert names == [event["type"] for event in events]
    assert names == [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert len(upstream.requests) == 1
