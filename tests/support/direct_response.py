"""Direct requests for what a client asks of the Responses API, and the response they lead to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.direct_request import Case, blocks_of, count_tokens
from wrapper.services.messages.thinking_codec import load_thinking

Json = dict[str, Any]

# What a response repeats of a request that says nothing.
REPEATED: Json = {
    "background": False,
    "error": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "object": "response",
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
# What it repeats as it was sent.
AS_SENT = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "store",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
)
PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
}
# The status and the reason, by the stop_reason of the Messages API; others complete a response.
INCOMPLETE = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}


@dataclass(frozen=True)
class ResponseCase(Case):
    """A case as in chat completions, whose answer is a response.

    `repeated` are the fields that the response repeats in another form than they were sent.
    `calls` are the fields of a call, other than id and arguments, by the name of the model's tool.
    """

    repeated: Json = field(default_factory=dict)
    calls: dict[str, Json] = field(default_factory=dict)

    def response(self, events: list[Json]) -> Json:
        """Return the response that the API's *events* stand for, without ids and times."""
        (start,) = (event["message"] for event in events if event["type"] == "message_start")
        (stop,) = (event for event in events if event["type"] == "message_delta")
        reason = INCOMPLETE.get(stop["delta"]["stop_reason"])
        status = "incomplete" if reason else "completed"
        sent = {name: self.sent[name] for name in AS_SENT if self.sent.get(name) is not None}
        output = self._output(blocks_of(events))
        if output and "status" in output[-1]:
            output[-1]["status"] = status
        return {
            **REPEATED,
            **sent,
            **self.repeated,
            "model": self.body()["model"],
            "status": status,
            "incomplete_details": reason and {"reason": reason},
            "output": output,
            "usage": _usage(count_tokens(start["usage"], stop["usage"])),
        }

    def _output(self, blocks: list[Json]) -> list[Json]:
        items: list[Json] = []
        for block in blocks:
            last: Json = items[-1] if items else {"type": ""}
            match block["type"]:
                case "text" if last["type"] == "message":
                    last["content"][0]["text"] += block["said"]
                case "text":
                    items.append(_message(block["said"]))
                case "thinking" | "redacted_thinking":
                    if last["type"] != "reasoning":
                        items.append(last := self._reasoning())
                    self._think(last, block)
                case "tool_use" if block["name"] == self.answer:
                    items.append(_message(block["said"]))
                case "tool_use":
                    items.append(self._call_item(block))
        return items

    def _reasoning(self) -> Json:
        encrypted = "reasoning.encrypted_content" in (self.sent.get("include") or ())
        return {
            "type": "reasoning",
            "summary": [],
            **({"encrypted_content": []} if encrypted else {}),
        }

    def _think(self, item: Json, block: Json) -> None:
        asked = self.sent.get("reasoning") or {}
        if block["said"] and (asked.get("summary") or asked.get("generate_summary")):
            summary = item["summary"] or [{"type": "summary_text", "text": ""}]
            item["summary"] = summary
            summary[0]["text"] += block["said"]
        if "encrypted_content" in item:
            item["encrypted_content"].append(block.get("data") or block["said"])

    def _call_item(self, block: Json) -> Json:
        named = self.calls.get(block["name"], {"name": block["name"]})
        item = {"type": "function_call", "status": "completed", "call_id": block["id"], **named}
        if item["type"] == "custom_tool_call":
            return {**item, "input": _input(block["said"])}
        return {**item, "arguments": block["said"] or "{}"}


def settled_response(response: Json) -> Json:
    """Return a response without ids and times, which it checks, and with its thinking decoded."""
    settled = dict(response)
    token = settled.pop("id").removeprefix("resp_")
    assert len(token) == 32
    created, completed = settled.pop("created_at"), settled.pop("completed_at")
    assert (completed is not None and completed >= created) == (settled["status"] == "completed")
    assert settled["usage"].pop("cost_usd") > 0
    items = enumerate(settled["output"])
    settled["output"] = [_settled_item(item, token, index) for index, item in items]
    return settled


def _settled_item(item: Json, token: str, index: int) -> Json:
    settled = dict(item)
    assert settled.pop("id") == f"{PREFIXES[item['type']]}_{token}_{index}"
    if "encrypted_content" in settled:
        parts = load_thinking(settled["encrypted_content"])
        settled["encrypted_content"] = [
            getattr(part, "text", "") or getattr(part, "data", "") for part in parts
        ]
    return settled


def _message(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _input(arguments: str) -> str:
    return str(json.loads(arguments)["input"])


def _usage(counts: Json) -> Json:
    """Return the usage of a response with the *counts* of a chat completion."""
    return {
        "input_tokens": counts["prompt_tokens"],
        "input_tokens_details": {
            name: counts[name] for name in ("cached_tokens", "cache_write_tokens")
        },
        "output_tokens": counts["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": counts["reasoning_tokens"]},
        "total_tokens": counts["total_tokens"],
    }
