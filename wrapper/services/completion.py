"""The completion: a turn's events written as a chat.completion or as its chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wrapper.services.turn import (
    Ended,
    Ending,
    Event,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    Usage,
)

Json = dict[str, Any]
Items = Iterable[tuple[int, Event] | None]

SHOWN_CHARACTERS = 500
FINISH_REASONS = {
    Ending.DONE: "stop",
    Ending.LENGTH: "length",
    Ending.REFUSED: "content_filter",
}


@dataclass(frozen=True)
class Head:
    """What all of a completion's parts repeat. `created` is in Unix seconds."""

    id: str
    created: int
    choices: int = 1
    include_usage: bool = False
    show_tool_use: bool = False
    service_tier: str | None = None


@dataclass
class _Choice:
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    ended: Ended | None = None


def build_completion(head: Head, items: Items) -> Json:
    """Return the whole chat.completion that *items* tell, once they have ended."""
    model = ""
    choices = [_Choice() for _ in range(head.choices)]
    for item in items:
        if item is None:
            continue
        index, event = item
        match event:
            case Started():
                model = model or event.model
            case TextDelta():
                choices[index].text.append(event.text)
            case ReasoningDelta():
                choices[index].reasoning.append(event.text)
            case ToolUse() if head.show_tool_use:
                choices[index].reasoning.append(describe(event))
            case Ended():
                choices[index].ended = event
    ended = [choice.ended for choice in choices if choice.ended]
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": model,
        "choices": [_whole_choice(index, choice) for index, choice in enumerate(choices)],
        "usage": build_usage(ended),
        **_tier(head),
    }


def build_chunks(head: Head, items: Items) -> Iterator[Json | None]:
    """Yield the chunks of a streamed completion as *items* come; None where nothing came."""
    model = ""
    ended: list[Ended] = []
    for item in items:
        if item is None:
            yield None
            continue
        index, event = item
        match event:
            case Started() if not model:
                model = event.model
                for each in range(head.choices):
                    delta = {"role": "assistant", "content": "", "refusal": None}
                    yield _chunk(head, model, [_delta(each, delta)])
            case TextDelta():
                yield _chunk(head, model, [_delta(index, {"content": event.text})])
            case ReasoningDelta():
                yield _chunk(head, model, [_delta(index, {"reasoning_content": event.text})])
            case ToolUse() if head.show_tool_use:
                shown = {"reasoning_content": describe(event)}
                yield _chunk(head, model, [_delta(index, shown)])
            case Ended():
                ended.append(event)
                reason = FINISH_REASONS[event.ending]
                yield _chunk(head, model, [_delta(index, {}, reason)])
    if head.include_usage:
        yield {**_chunk(head, model, []), "usage": build_usage(ended)}


def describe(use: ToolUse) -> str:
    """Return a line that tells of a tool at work; long arguments are cut."""
    told = use.arguments
    if len(told) > SHOWN_CHARACTERS:
        told = f"{told[:SHOWN_CHARACTERS]}…"
    return f"[{use.name}] {told}\n"


def build_usage(ended: Iterable[Ended]) -> Json:
    """Return OpenAI's usage, summed over the choices, with what they cost in `cost_usd`."""
    ended = list(ended)
    used = [end.usage for end in ended]
    prompt = sum(u.input + u.cache_read + u.cache_creation for u in used)
    output = sum(u.output for u in used)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": _prompt_details(used),
        "completion_tokens_details": {
            "reasoning_tokens": sum(u.reasoning for u in used),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "cost_usd": _cost(ended),
    }


def _prompt_details(used: list[Usage]) -> Json:
    return {
        "cached_tokens": sum(u.cache_read for u in used),
        "cache_write_tokens": sum(u.cache_creation for u in used),
        "audio_tokens": 0,
    }


def _cost(ended: list[Ended]) -> float | None:
    """Return the sum in dollars, or None where a part of it is not known."""
    costs = [end.cost_usd for end in ended]
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), 9) if len(known) == len(costs) else None


def _whole_choice(index: int, choice: _Choice) -> Json:
    message: Json = {
        "role": "assistant",
        "content": "".join(choice.text),
        "refusal": None,
        "annotations": [],
    }
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    reason = FINISH_REASONS[choice.ended.ending] if choice.ended else None
    return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}


def _delta(index: int, delta: Json, reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def _chunk(head: Head, model: str, choices: list[Json]) -> Json:
    chunk = {
        "id": head.id,
        "object": "chat.completion.chunk",
        "created": head.created,
        "model": model,
        "choices": choices,
        **_tier(head),
    }
    return {**chunk, "usage": None} if head.include_usage else chunk


def _tier(head: Head) -> Json:
    return {"service_tier": "default"} if head.service_tier else {}
