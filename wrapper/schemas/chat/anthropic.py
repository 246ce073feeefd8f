"""Parameters of Anthropic's Messages API in a chat completion request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from wrapper.schemas.chat.content_parts import TEXT_PARTS, load_part, parts_json_schema
from wrapper.services.messages.message import ChatMessage
from wrapper.services.turn import Effort

CACHE_CONTROL = "cache_control"
# The thinking budget of each effort, in tokens.
BUDGETS: Mapping[Effort, int] = {"minimal": 1024, "low": 4096, "medium": 10_000, "high": 20_000}
# The effort if the request enables thinking without a budget.
DEFAULT_EFFORT: Effort = "medium"
_KINDS = ("enabled", "disabled", "adaptive")


class ThinkingField(fields.Field[Effort]):
    """Whether the model thinks, and with what budget; loads to an effort."""

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
            return DEFAULT_EFFORT
        return next(
            (effort for effort, budget_limit in BUDGETS.items() if budget <= budget_limit), "xhigh"
        )


class SystemField(fields.Field[ChatMessage]):
    """The system prompt, a text or an array of text blocks; loads to a system message."""

    json_schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"type": "string"}, parts_json_schema(*TEXT_PARTS)]
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> ChatMessage:
        if isinstance(value, str):
            return ChatMessage("system", (value,))
        if not isinstance(value, list):
            raise ValidationError("Not a valid string or array of parts.")
        return ChatMessage("system", ("\n\n".join(_texts(value)),))


def effort_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the effort that a request asks for, and the parameter that sets it."""
    if "thinking" in data and not _thinking_is_ignored(data):
        return {"effort": data["thinking"], "effort_param": "thinking"}
    return {"effort": data.get("reasoning_effort")}


def message_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the messages of a request, after its parameter `system` if it has one."""
    if "system" in data and any(data["system"].parts):
        return {"messages": (data["system"], *data["messages"]), "unlisted": 1}
    return {"messages": tuple(data["messages"])}


def ignored_anthropic_parameters(
    data: Mapping[str, Any], original: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the parameters of Anthropic's API that have no effect in this request.

    Cache marks are looked up in its *original*, because loading drops them.
    """
    if "thinking" in data and _thinking_is_ignored(data):
        yield "thinking"
    if original.get(CACHE_CONTROL) is None and any(map(_is_marked, _markable_objects(original))):
        yield CACHE_CONTROL


def _thinking_is_ignored(data: Mapping[str, Any]) -> bool:
    """Say whether another parameter overrides it: OpenAI's reasoning_effort, or sampling."""
    sampled = data.get("temperature", 1) < 1 or data.get("top_p", 1) < 1
    return "reasoning_effort" in data or (sampled and data["thinking"] != "none")


def _markable_objects(original: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the objects that may carry a cache mark in Anthropic's API."""
    system = original.get("system")
    yield from system if isinstance(system, list) else ()
    yield from original.get("tools") or ()
    for message in original["messages"]:
        yield message
        content = message.get("content")
        if isinstance(content, list):
            yield from content


def _is_marked(holder: Any) -> bool:
    return holder.get(CACHE_CONTROL) is not None


def _texts(blocks: list[Any]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        text = load_part(index, block)
        if not isinstance(text, str):
            raise ValidationError({index: {"type": ["Must be text."]}})
        yield text
