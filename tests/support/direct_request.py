"""Direct requests: what a client would send to the Messages API itself, and the API's answer."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import dataclass, field
from typing import Any

from tests.live.test_golden import GOLDEN
from tests.live.test_message_shapes import SAY, text
from tests.support.server import DEADLINE, MODEL

Json = dict[str, Any]

# What Claude Code adds to every request of the plain profile: two lines of a system prompt, the
# user id, and fields that differ from the API's defaults. The golden file was read and found right.
OWN: Json = {
    name: said
    for name, said in json.loads((GOLDEN / "plain.json").read_text()).items()
    if name not in ("model", "messages")
}
# What it adds if the model thinks.
SHOWN = {"display": "updates"}
KEPT = {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}
MARK = {"cache_control": {"type": "ephemeral"}}
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


@dataclass(frozen=True)
class Case:
    """A client's request `sent`, and the fields that its `direct` request has besides usual ones.

    A None in `direct` leaves a field out. `told` are the headers that name losses. `answer` is a
    tool whose input is the answer's text.
    """

    sent: Json = field(default_factory=dict)
    direct: Json = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    answer: str | None = None

    def body(self) -> Json:
        """Return the direct request, with what Claude Code adds by itself."""
        body = {"model": MODEL, "messages": [("user", [SAY])], **self.direct}
        *before, (last, (*blocks, end)) = body["messages"]
        messages = [*before, (last, [*blocks, {**end, **MARK}])]
        system = [*OWN["system"], *({**text(one), **MARK} for one in body.pop("system", []))]
        body["messages"] = [{"role": role, "content": content} for role, content in messages]
        body = {**OWN, **body, "system": system}
        return {name: value for name, value in body.items() if value is not None}

    def in_openais_words(self, events: list[Json]) -> tuple[Json, Json]:
        """Return the choice and the usage that the API's *events* stand for."""
        (start,) = (event["message"] for event in events if event["type"] == "message_start")
        (stop,) = (event for event in events if event["type"] == "message_delta")
        blocks = blocks_of(events)
        message = {"role": "assistant", "content": _said(blocks, "text"), "refusal": None}
        if thought := _said(blocks, "thinking"):
            message["reasoning_content"] = thought
        reason = FINISH_REASONS[stop["delta"]["stop_reason"]]
        choice = {"message": message, "finish_reason": reason}
        if calls := [block for block in blocks if block["type"] == "tool_use"]:
            self._call(choice, calls)
        return choice, count_tokens(start["usage"], stop["usage"])

    def _call(self, choice: Json, calls: list[Json]) -> None:
        message = choice["message"]
        functions = [{"name": c["name"], "arguments": c["said"] or "{}"} for c in calls]
        if self.answer and self.answer == functions[0]["name"]:
            message["content"], choice["finish_reason"] = functions[0]["arguments"], "stop"
            return
        message["content"] = message["content"] or None
        if "functions" in self.sent:
            message["function_call"], choice["finish_reason"] = functions[0], "function_call"
            return
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": function}
            for call, function in zip(calls, functions, strict=True)
        ]


def call(url: str, body: Json) -> list[Json]:
    """Return the events of the API's answer to *body*."""
    headers = {"Content-Type": "application/json"}
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/messages", json.dumps(body).encode(), headers)
        lines = connection.getresponse().read().decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data:")]


def blocks_of(events: list[Json]) -> list[Json]:
    """Return the blocks of the answer, each with its text in `said`."""
    blocks = [
        {**event["content_block"], "said": ""} for event in events if "content_block" in event
    ]
    for event in events:
        if event["type"] == "content_block_delta":
            pieces = (event["delta"].get(name, "") for name in ("text", "thinking", "partial_json"))
            blocks[event["index"]]["said"] += "".join(pieces)
    return blocks


def _said(blocks: list[Json], kind: str) -> str:
    return "".join(block["said"] for block in blocks if block["type"] == kind)


def count_tokens(start: Json, stop: Json) -> Json:
    cached, written = start["cache_read_input_tokens"], start["cache_creation_input_tokens"]
    prompt, output = start["input_tokens"] + cached + written, stop["output_tokens"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": (stop.get("output_tokens_details") or {}).get("thinking_tokens", 0),
    }
