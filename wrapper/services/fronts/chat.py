"""The presenter of chat completions: writes a run's events as a chat.completion or as chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from wrapper.errors import ApiError
from wrapper.ids import new_id
from wrapper.json_text import Json
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.approvals.presenter import to_json
from wrapper.services.events import (
    ApprovalChanged,
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
    ToolUsed,
)
from wrapper.services.fronts.presenter import Items
from wrapper.services.messages.answer import Answer
from wrapper.services.request import TurnRequest
from wrapper.services.spent import Usage, sum_costs, sum_usage

SHOWN_CHARACTERS = 500
FINISH_REASONS = {
    Ending.DONE: "stop",
    Ending.LENGTH: "length",
    Ending.BUDGET: "length",
    Ending.REFUSED: "content_filter",
    Ending.CALLS: "tool_calls",
}


@dataclass
class _Choice:
    answer: Answer = field(default_factory=Answer)
    reasoning: list[str] = field(default_factory=list)
    notes: Notes = NO_NOTES

    @property
    def ended(self) -> Ended | None:
        return self.answer.ended


@dataclass(frozen=True)
class ChatPresenter:
    """Writes one chat completion. `created` is in Unix seconds.

    `name_notes` returns notes by the names that they have in this API. With `legacy_functions` a
    call is written in the API's first form, as `function_call`.
    """

    id: str
    created: int
    name_notes: Callable[[Notes], dict[str, str]]
    choices: int = 1
    include_usage: bool = False
    show_tool_use: bool = False
    service_tier: str | None = None
    legacy_functions: bool = False

    @classmethod
    def of(
        cls, request: TurnRequest, name_notes: Callable[[Notes], dict[str, str]]
    ) -> ChatPresenter:
        """Return the presenter of a new completion that answers *request*."""
        return cls(
            id=new_id("chatcmpl-"),
            created=int(time.time()),
            name_notes=name_notes,
            choices=request.n,
            include_usage=request.include_usage,
            show_tool_use=request.show_tool_use,
            service_tier=request.service_tier,
            legacy_functions=request.legacy_functions,
        )

    def whole(self, items: Items) -> Json:
        """Return the whole chat.completion, once *items* have ended."""
        model = ""
        choices = [_Choice() for _ in range(self.choices)]
        for item in items:
            if item is not None:
                index, event = item
                model = model or (event.model if isinstance(event, Started) else "")
                self._add(choices[index], event)
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": model,
            "choices": [self._whole_choice(index, choice) for index, choice in enumerate(choices)],
            "usage": build_usage(choice.ended for choice in choices if choice.ended),
            **self._tier(),
        }

    def chunks(self, items: Items) -> Iterator[Json | None]:
        """Yield the chunks of a streamed completion as *items* come, and None for each None.

        The last chunk of a choice has, as `notes`, what the headers of a whole completion would
        say about it.
        """
        model = ""
        choices = [_Choice() for _ in range(self.choices)]
        for item in items:
            if item is None:
                yield None
                continue
            index, event = item
            if isinstance(event, Started) and not model:
                model = event.model
                for each in range(self.choices):
                    delta = {"role": "assistant", "content": "", "refusal": None}
                    yield self._chunk(model, [_delta(each, delta)])
            self._add(choices[index], event)
            extension = self._extension_of(event)
            delta_of_event = self._delta_of(event)
            if delta_of_event or extension:
                chunk = self._chunk(model, [_delta(index, *(delta_of_event or ({},)))])
                if extension:
                    chunk["claude"] = extension
                if isinstance(event, Ended) and (notes := choices[index].notes):
                    chunk["notes"] = self.name_notes(notes)
                yield chunk
        if self.include_usage:
            usage = build_usage(choice.ended for choice in choices if choice.ended)
            yield {**self._chunk(model, []), "usage": usage}

    def failure(self, error: ApiError) -> Json:
        """Return the error in OpenAI's shape."""
        return error.body()

    def keepalive(self) -> None:
        """Return None: this API's clients accept comments."""

    def _add(self, choice: _Choice, event: Event) -> None:
        choice.answer.add(event)
        if isinstance(event, ReasoningDelta):
            choice.reasoning.append(event.text)
        elif isinstance(event, ToolUse) and self.show_tool_use:
            choice.reasoning.append(describe(event))
        elif isinstance(event, Noted):
            choice.notes |= event.notes

    def _delta_of(self, event: Event) -> tuple[Json, str | None] | None:
        """Return the delta for *event*, with the finish reason if it ends the choice."""
        match event:
            case TextDelta():
                return {"content": event.text}, None
            case ReasoningDelta():
                return {"reasoning_content": event.text}, None
            case ToolUse() if self.show_tool_use:
                return {"reasoning_content": describe(event)}, None
            case CallStarted() if self.legacy_functions:
                return {"function_call": {"name": event.name, "arguments": ""}}, None
            case CallStarted():
                call = {"index": event.index, **_call(event.id, event.name, "")}
                return {"tool_calls": [call]}, None
            case CallDelta() if self.legacy_functions:
                return {"function_call": {"arguments": event.arguments}}, None
            case CallDelta():
                more = {"index": event.index, "function": {"arguments": event.arguments}}
                return {"tool_calls": [more]}, None
            case Ended():
                return {}, self._finish_reason(event)
        return None

    def _extension_of(self, event: Event) -> Json | None:
        """Return what only this gateway's clients know: approvals, and use of the engine's tools.

        Tools of subagents, whose use has no id, are left out.
        """
        match event:
            case ApprovalChanged():
                return {"approval": to_json(event.approval)}
            case ToolUse() if self.show_tool_use:
                use = {"id": event.id, "name": event.name, "arguments": event.arguments}
                return {"tool_use": use}
            case ToolUsed() if self.show_tool_use and event.id:
                seconds = round(event.seconds, 3)
                output = {"output": event.output} if event.output else {}
                result = {"id": event.id, "outcome": event.outcome, "seconds": seconds}
                return {"tool_result": {**result, **output}}
        return None

    def _finish_reason(self, ended: Ended) -> str:
        called = ended.ending is Ending.CALLS and self.legacy_functions
        return "function_call" if called else FINISH_REASONS[ended.ending]

    def _whole_choice(self, index: int, choice: _Choice) -> Json:
        text = choice.answer.text
        calls = [_call(call.id, call.name, call.arguments) for call in choice.answer.calls]
        message: Json = {
            "role": "assistant",
            "content": None if calls and not text else text,
            "refusal": None,
            "annotations": [],
        }
        if calls and self.legacy_functions:
            message["function_call"] = calls[0]["function"]
        elif calls:
            message["tool_calls"] = calls
        if choice.reasoning:
            message["reasoning_content"] = "".join(choice.reasoning)
        reason = self._finish_reason(choice.ended) if choice.ended else None
        return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}

    def _chunk(self, model: str, choices: list[Json]) -> Json:
        chunk = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": model,
            "choices": choices,
            **self._tier(),
        }
        return {**chunk, "usage": None} if self.include_usage else chunk

    def _tier(self) -> Json:
        return {"service_tier": "default"} if self.service_tier else {}


def describe(use: ToolUse) -> str:
    """Return a line about a tool that the engine uses; long arguments are cut."""
    arguments = use.arguments
    if len(arguments) > SHOWN_CHARACTERS:
        arguments = f"{arguments[:SHOWN_CHARACTERS]}…"
    return f"[{use.name}] {arguments}\n"


def _call(id_: str, name: str, arguments: str) -> Json:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _delta(index: int, delta: Json, reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def build_usage(ended: Iterable[Ended]) -> Json:
    """Return OpenAI's usage, summed over the choices, with their cost in `cost_usd`."""
    ended = list(ended)
    usage = sum_usage(end.usage for end in ended)
    cost = sum_costs(end.cost_usd for end in ended)
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": _prompt_details(usage),
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "cost_usd": None if cost is None else round(cost, 9),
    }


def _prompt_details(usage: Usage) -> Json:
    return {
        "cached_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_creation,
        "audio_tokens": 0,
    }
