"""The completion: a turn's events written as a chat.completion or as its chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wrapper.errors import BadAnswer
from wrapper.services.figures import build_usage
from wrapper.services.shapes import misfit
from wrapper.services.turn import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Event,
    ReasoningDelta,
    Shape,
    Started,
    TextDelta,
    ToolUse,
)

Json = dict[str, Any]
Items = Iterable[tuple[int, Event] | None]

SHOWN_CHARACTERS = 500
FINISH_REASONS = {
    Ending.DONE: "stop",
    Ending.LENGTH: "length",
    Ending.REFUSED: "content_filter",
    Ending.CALLS: "tool_calls",
}


@dataclass(frozen=True)
class Head:
    """What all of a completion's parts repeat, and how they are told. `created` is in Unix seconds.

    `legacy_functions` tells of a call in the API's first form; `shape` is what answers must fit.
    """

    id: str
    created: int
    choices: int = 1
    include_usage: bool = False
    show_tool_use: bool = False
    service_tier: str | None = None
    legacy_functions: bool = False
    shape: Shape | None = None


@dataclass
class _Choice:
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    ended: Ended | None = None

    def add(self, event: Event, head: Head) -> None:
        match event:
            case TextDelta():
                self.text.append(event.text)
            case ReasoningDelta():
                self.reasoning.append(event.text)
            case ToolUse() if head.show_tool_use:
                self.reasoning.append(describe(event))
            case CallStarted():
                self.calls.append(_call(event.id, event.name, ""))
            case CallDelta():
                self.calls[event.index]["function"]["arguments"] += event.arguments
            case Ended():
                self.ended = event
                self._check(head.shape)

    def _check(self, shape: Shape | None) -> None:
        """Raise BadAnswer where the model has ended an answer that is not in its shape."""
        done = self.ended and self.ended.ending is Ending.DONE
        if shape and done and (why := misfit(shape, "".join(self.text))):
            raise BadAnswer(
                f"The model's answer does not fit the schema {shape.name!r}: {why}", retry=False
            )


def build_completion(head: Head, items: Items) -> Json:
    """Return the whole chat.completion that *items* tell, once they have ended.

    Raises BadAnswer where one does not fit the shape that was asked for.
    """
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


def build_chunks(head: Head, items: Items) -> Iterator[Json | None]:
    """Yield the chunks of a streamed completion as *items* come; None where nothing came.

    Raises BadAnswer as build_completion does, in place of the chunk that would end the choice.
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
            yield _chunk(head, model, [_delta(index, *told)])
    if head.include_usage:
        usage = build_usage(choice.ended for choice in choices if choice.ended)
        yield {**_chunk(head, model, []), "usage": usage}


def _told(head: Head, event: Event) -> tuple[Json, str | None] | None:
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


def _reason(head: Head, ended: Ended) -> str:
    called = ended.ending is Ending.CALLS and head.legacy_functions
    return "function_call" if called else FINISH_REASONS[ended.ending]


def describe(use: ToolUse) -> str:
    """Return a line that tells of a tool at work; long arguments are cut."""
    told = use.arguments
    if len(told) > SHOWN_CHARACTERS:
        told = f"{told[:SHOWN_CHARACTERS]}…"
    return f"[{use.name}] {told}\n"


def _whole_choice(head: Head, index: int, choice: _Choice) -> Json:
    text = "".join(choice.text)
    message: Json = {
        "role": "assistant",
        "content": None if choice.calls and not text else text,
        "refusal": None,
        "annotations": [],
    }
    if choice.calls and head.legacy_functions:
        message["function_call"] = choice.calls[0]["function"]
    elif choice.calls:
        message["tool_calls"] = choice.calls
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    reason = _reason(head, choice.ended) if choice.ended else None
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
