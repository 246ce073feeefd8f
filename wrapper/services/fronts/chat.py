"""The completion: a turn's events written as a chat.completion or as its chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Event,
    Noted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    Usage,
    add_note,
)
from wrapper.services.messages.answer import Answer

Json = dict[str, Any]
Items = Iterable[tuple[int, Event] | None]

SHOWN_CHARACTERS = 500
FINISH_REASONS = {
    Ending.DONE: "stop",
    Ending.LENGTH: "length",
    Ending.BUDGET: "length",
    Ending.REFUSED: "content_filter",
    Ending.CALLS: "tool_calls",
}


@dataclass(frozen=True)
class CompletionInfo:
    """What all of a completion's parts repeat, and how they are told. `created` is in Unix seconds.

    `legacy_functions` tells of a call in the API's first form.
    """

    id: str
    created: int
    choices: int = 1
    include_usage: bool = False
    show_tool_use: bool = False
    service_tier: str | None = None
    legacy_functions: bool = False


@dataclass
class _Choice:
    answer: Answer = field(default_factory=Answer)
    reasoning: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> Ended | None:
        return self.answer.ended

    def add(self, event: Event, head: CompletionInfo) -> None:
        self.answer.add(event)
        if isinstance(event, ReasoningDelta):
            self.reasoning.append(event.text)
        elif isinstance(event, ToolUse) and head.show_tool_use:
            self.reasoning.append(describe(event))
        elif isinstance(event, Noted):
            self.notes = add_note(self.notes, event)


def build_completion(head: CompletionInfo, items: Items) -> Json:
    """Return the whole chat.completion that *items* tell, once they have ended."""
    model = ""
    choices = [_Choice() for _ in range(head.choices)]
    for item in items:
        if item is not None:
            index, event = item
            model = model or (event.model if isinstance(event, Started) else "")
            choices[index].add(event, head)
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": model,
        "choices": [_whole_choice(head, index, choice) for index, choice in enumerate(choices)],
        "usage": build_usage(choice.ended for choice in choices if choice.ended),
        **_tier(head),
    }


def build_chunks(head: CompletionInfo, items: Items) -> Iterator[Json | None]:
    """Yield the chunks of a streamed completion as *items* come; None where nothing came.

    What a whole completion's headers would tell of a choice stands in its last chunk, as `notes`.
    """
    model = ""
    choices = [_Choice() for _ in range(head.choices)]
    for item in items:
        if item is None:
            yield None
            continue
        index, event = item
        if isinstance(event, Started) and not model:
            model = event.model
            for each in range(head.choices):
                delta = {"role": "assistant", "content": "", "refusal": None}
                yield _chunk(head, model, [_delta(each, delta)])
        choices[index].add(event, head)
        if (told := _told(head, event)) is not None:
            notes = choices[index].notes if isinstance(event, Ended) else {}
            chunk = _chunk(head, model, [_delta(index, *told)])
            yield {**chunk, "notes": notes} if notes else chunk
    if head.include_usage:
        usage = build_usage(choice.ended for choice in choices if choice.ended)
        yield {**_chunk(head, model, []), "usage": usage}


def _told(head: CompletionInfo, event: Event) -> tuple[Json, str | None] | None:
    """Return the delta in which *event* is told, and the reason where it ends the choice."""
    match event:
        case TextDelta():
            return {"content": event.text}, None
        case ReasoningDelta():
            return {"reasoning_content": event.text}, None
        case ToolUse() if head.show_tool_use:
            return {"reasoning_content": describe(event)}, None
        case CallStarted() if head.legacy_functions:
            return {"function_call": {"name": event.name, "arguments": ""}}, None
        case CallStarted():
            call = {"index": event.index, **_call(event.id, event.name, "")}
            return {"tool_calls": [call]}, None
        case CallDelta() if head.legacy_functions:
            return {"function_call": {"arguments": event.arguments}}, None
        case CallDelta():
            more = {"index": event.index, "function": {"arguments": event.arguments}}
            return {"tool_calls": [more]}, None
        case Ended():
            return {}, _reason(head, event)
    return None


def _call(id_: str, name: str, arguments: str) -> Json:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _reason(head: CompletionInfo, ended: Ended) -> str:
    called = ended.ending is Ending.CALLS and head.legacy_functions
    return "function_call" if called else FINISH_REASONS[ended.ending]


def describe(use: ToolUse) -> str:
    """Return a line that tells of a tool at work; long arguments are cut."""
    told = use.arguments
    if len(told) > SHOWN_CHARACTERS:
        told = f"{told[:SHOWN_CHARACTERS]}…"
    return f"[{use.name}] {told}\n"


def _whole_choice(head: CompletionInfo, index: int, choice: _Choice) -> Json:
    text = choice.answer.text
    calls = [_call(call.id, call.name, call.arguments) for call in choice.answer.calls]
    message: Json = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
        "annotations": [],
    }
    if calls and head.legacy_functions:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    reason = _reason(head, choice.ended) if choice.ended else None
    return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}


def _delta(index: int, delta: Json, reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def _chunk(head: CompletionInfo, model: str, choices: list[Json]) -> Json:
    chunk = {
        "id": head.id,
        "object": "chat.completion.chunk",
        "created": head.created,
        "model": model,
        "choices": choices,
        **_tier(head),
    }
    return {**chunk, "usage": None} if head.include_usage else chunk


def _tier(head: CompletionInfo) -> Json:
    return {"service_tier": "default"} if head.service_tier else {}


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
