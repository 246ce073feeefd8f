"""Play a script as the events of a Messages API stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wrapper.testing.script import Script
from wrapper.testing.signatures import redact, sign
from wrapper.testing.thinking_rules import THINKING, THOUGHTFUL

Event = dict[str, Any]
Timed = tuple[float, Event]

PIECE = 12

ERRORS = {
    400: ("invalid_request_error", "scripted invalid request"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "scripted permission error"),
    404: ("not_found_error", "scripted not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "scripted rate limit"),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}


def error_body(kind: str, message: str) -> Event:
    """Return an error in the API's shape."""
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_scripted",
    }


def answer_events(script: Script, body: Event, model: str) -> Iterator[Timed]:
    """Yield the events of the answer, each with the seconds to wait before it."""
    if script.void:
        return
    yield 0.0, _start(script, body, model)
    blocks = _blocks(script, body, model)
    output = 0
    for index, (opening, deltas) in enumerate(blocks):
        yield 0.0, {"type": "content_block_start", "index": index, "content_block": opening}
        for delta in deltas:
            pause = script.pause if output else 0.0
            yield pause, {"type": "content_block_delta", "index": index, "delta": delta}
            output += 1
            if output == 1 and not script.whole and _is_interrupted(script):
                yield from _interrupt(script)
            if output == 1 and not script.whole and (script.break_status or script.cut):
                return
        yield 0.0, {"type": "content_block_stop", "index": index}
        if script.whole:
            yield from _interrupt(script)
            return
    yield from _stop(script, output)


def _is_interrupted(script: Script) -> bool:
    return bool(script.stall or script.break_status or script.cut)


def _interrupt(script: Script) -> Iterator[Timed]:
    yield script.stall, {"type": "ping"}
    if script.break_status:
        kind, reason = ERRORS[script.break_status]
        yield 0.0, error_body(kind, reason)


def _start(script: Script, body: Event, model: str) -> Event:
    usage = {
        "input_tokens": count_words(body),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        **script.usage,
        "output_tokens": 1,
        "output_tokens_details": None,
    }
    # A new id each round: Claude Code merges answers with the same id into one message.
    message: Event = {"id": f"msg_scripted{len(body['messages'])}", "type": "message"}
    message |= {"role": "assistant", "model": model}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    return {"type": "message_start", "message": message}


def _blocks(script: Script, body: Event, model: str) -> list[tuple[Event, list[Event]]]:
    blocks: list[tuple[Event, list[Event]]] = []
    if (body.get("thinking") or {}).get("type") != "disabled":
        blocks += _thinking(script, body, model)
    if script.tool and script.first:
        delta = {"type": "text_delta", "text": script.first}
        blocks.append(({"type": "text", "text": ""}, [delta]))
    if script.tool:
        thinks = bool(blocks) and blocks[0][0]["type"] in THINKING
        rounds = sum(m["role"] == "assistant" for m in body["messages"])
        id_ = f"{THOUGHTFUL if thinks else 'toolu_scripted'}{rounds}"
        calls = enumerate((script.tool, *script.others))
        blocks += [_use(f"{id_}{'_' * number}", *call) for number, call in calls]
    elif script.deltas:
        deltas = [{"type": "text_delta", "text": text} for text in script.deltas]
        blocks.append(({"type": "text", "text": ""}, deltas))
    return blocks


def _thinking(script: Script, body: Event, model: str) -> Iterator[tuple[Event, list[Event]]]:
    """Yield the thinking blocks. A signature comes in one piece, as from the API."""
    if script.thinking:
        signature = sign(script.thinking, body, model)
        deltas = [
            {"type": "thinking_delta", "thinking": script.thinking},
            {"type": "signature_delta", "signature": signature},
        ]
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if script.redacted:
        yield {"type": "redacted_thinking", "data": redact(script.redacted, body, model)}, []


def _use(id_: str, name: str, arguments: Any) -> tuple[Event, list[Event]]:
    """Return a call with its arguments in pieces. Empty arguments have no piece, as in the API."""
    use = {"type": "tool_use", "id": id_, "name": name, "input": {}}
    text = json.dumps(arguments, ensure_ascii=False) if arguments else ""
    if isinstance(arguments, str):  # given as text, because a double cannot hold its numbers
        text = arguments
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    return use, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _stop(script: Script, output: int) -> Iterator[Timed]:
    reason = "tool_use" if script.tool else script.stop_reason or "end_turn"
    usage = {"output_tokens": script.usage.get("output_tokens", output)}
    if details := script.usage.get(
        "output_tokens_details"
    ):  # known at the end, when all thinking is done
        usage["output_tokens_details"] = details
    delta = {"stop_reason": reason, "stop_sequence": None}
    yield 0.0, {"type": "message_delta", "delta": delta, "usage": usage}
    yield 0.0, {"type": "message_stop"}


def count_words(body: Event) -> int:
    """Return the number of words in the request, which are the scripted model's input tokens."""
    total = 0
    for content in [body.get("system", ""), *(m["content"] for m in body["messages"])]:
        blocks = [{"text": content}] if isinstance(content, str) else content
        total += sum(len(block.get("text", "").split()) for block in blocks)
    return total
