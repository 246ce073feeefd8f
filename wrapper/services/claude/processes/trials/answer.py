"""The answers that a recorder gives in place of the model's API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

USAGE = {"input_tokens": 1, "output_tokens": 1}
Block = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """A response of the model's API."""

    body: bytes
    status: int = 200
    content_type: str = "text/event-stream"


def text(said: str = "OK", *, stop_reason: str = "end_turn") -> Answer:
    """Return the answer of a model that says something."""
    return _stream([_text(said)], stop_reason)


def calls(uses: Iterable[tuple[str, Mapping[str, Any]]]) -> Answer:
    """Return the answer of a model that uses tools, each with its name and arguments."""
    return _stream([_call(*use) for use in uses], "tool_use")


def error(status: int, kind: str, message: str) -> Answer:
    """Return an error in the form of the API."""
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return Answer(json.dumps(body).encode(), status, "application/json")


def _text(said: str) -> Block:
    return {"type": "text", "text": ""}, {"type": "text_delta", "text": said}


def _call(name: str, arguments: Mapping[str, Any]) -> Block:
    block = {"type": "tool_use", "id": _new_id("toolu"), "name": name, "input": {}}
    return block, {"type": "input_json_delta", "partial_json": json.dumps(arguments)}


def _new_id(kind: str) -> str:
    """Return a name as the API gives one: Claude Code takes equal names for the same part."""
    return f"{kind}_{uuid4().hex}"


def _stream(blocks: Iterable[Block], stop_reason: str) -> Answer:
    message: dict[str, Any] = {
        "id": _new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": "trial",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, (block, delta) in enumerate(blocks):
        events += [
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    stopped = {"stop_reason": stop_reason, "stop_sequence": None}
    events += [
        {"type": "message_delta", "delta": stopped, "usage": USAGE},
        {"type": "message_stop"},
    ]
    lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Answer("".join(lines).encode())
