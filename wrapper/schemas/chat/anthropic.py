"""The parameters of Anthropic's Messages API that a chat completion request may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from wrapper.schemas.chat.content_parts import TEXTS, load_part, tell_parts
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import Effort

CACHE_CONTROL = "cache_control"
# The most tokens of thinking that each effort stands for.
BUDGETS: Mapping[Effort, int] = {"minimal": 1024, "low": 4096, "medium": 10_000, "high": 20_000}
# How much a model thinks where the request says only that it does.
UNSAID: Effort = "medium"
_KINDS = ("enabled", "disabled", "adaptive")


class Thinking(fields.Field[Effort]):
    """Whether the model thinks, and within how many tokens; loads to an effort."""

    json_schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "type": {"enum": list(_KINDS)},
            "budget_tokens": {"type": ["integer", "null"], "minimum": 1},
        },
        "required": ["type"],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Effort:
        if not isinstance(value, dict):
            raise ValidationError("Not a valid object.")
        if value.get("type") not in _KINDS:
            raise ValidationError({"type": [f"Must be one of: {', '.join(_KINDS)}."]})
        budget = value.get("budget_tokens")
        if budget is not None and (type(budget) is not int or budget < 1):
            raise ValidationError({"budget_tokens": ["Must be an integer of at least 1."]})
        if value["type"] == "disabled":
            return "none"
        if value["type"] == "adaptive" or budget is None:
            return UNSAID
        return next((effort for effort, most in BUDGETS.items() if budget <= most), "xhigh")


class System(fields.Field[ChatMessage]):
    """The system prompt: a text, or blocks of text; loads to a system message."""

    json_schema: ClassVar[dict[str, Any]] = {"anyOf": [{"type": "string"}, tell_parts(*TEXTS)]}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> ChatMessage:
        if isinstance(value, str):
            return ChatMessage("system", (value,))
        if not isinstance(value, list):
            raise ValidationError("Not a valid string or array of parts.")
        return ChatMessage("system", ("\n\n".join(_texts(value)),))


def effort_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the effort that a request asks for, and the parameter that says so."""
    if "thinking" in data and not _thinking_is_idle(data):
        return {"effort": data["thinking"], "effort_param": "thinking"}
    return {"effort": data.get("reasoning_effort")}


def messages_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the messages of a request, after the system prompt if it has one beside them."""
    if "system" in data and any(data["system"].parts):
        return {"messages": (data["system"], *data["messages"]), "system_first": True}
    return {"messages": tuple(data["messages"])}


def idle_in(data: Mapping[str, Any], original: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parameters of Anthropic's in a request that have no effect because of others.

    The marks for the cache are looked for in its *original*, since loading leaves them out.
    """
    if "thinking" in data and _thinking_is_idle(data):
        yield "thinking"
    if original.get(CACHE_CONTROL) is None and any(map(_is_marked, _marked_places(original))):
        yield CACHE_CONTROL


def _thinking_is_idle(data: Mapping[str, Any]) -> bool:
    """Say whether another parameter decides: the same in OpenAI's words, or sampling."""
    sampled = data.get("temperature", 1) < 1 or data.get("top_p", 1) < 1
    return "reasoning_effort" in data or (sampled and data["thinking"] != "none")


def _marked_places(original: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the objects in which Anthropic's API has marks for the cache."""
    system = original.get("system")
    yield from system if isinstance(system, list) else ()
    yield from original.get("tools") or ()
    for message in original["messages"]:
        yield message
        content = message.get("content")
        if isinstance(content, list):
            yield from content


def _is_marked(place: Any) -> bool:
    return place.get(CACHE_CONTROL) is not None


def _texts(blocks: list[Any]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        text = load_part(index, block)
        if not isinstance(text, str):
            raise ValidationError({index: {"type": ["Must be text."]}})
        yield text
