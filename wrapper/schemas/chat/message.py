"""A message of a conversation: what its role may hold, and what it must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, pre_load, validates_schema

from wrapper.schemas.base import BaseSchema, Coded
from wrapper.schemas.chat.content_parts import TEXTS, load_part, tell_parts
from wrapper.schemas.chat.omissions import AUDIO, omissions_of, transcript_of
from wrapper.schemas.chat.tool_calls import PastFunctionCallSchema, PastToolCallSchema
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.pairing import WITHOUT_ID
from wrapper.services.turn import Document, Image, Part, ToolCall, ToolResult

# The kinds of parts that the content of each role may have.
ROLES: Mapping[str, tuple[str, ...]] = {
    "system": TEXTS,
    "developer": TEXTS,
    "user": (*TEXTS, "image_url", "file", "image", "document", "tool_result"),
    "assistant": (*TEXTS, "tool_use"),
    "tool": (*TEXTS, "image_url", "image"),
    "function": TEXTS,
}
# What a message of these roles must have beside its content.
ANSWERS = {"tool": "tool_call_id", "function": "name"}
_KINDS = {Image: "image_url", Document: "file", ToolCall: "tool_use", ToolResult: "tool_result"}
# The roles whose content may be null; that of a result is then empty.
NO_CONTENT = ("assistant", "tool", "function")
CALLS = ("tool_calls", "function_call")

_NAME = {"description": "Taken and left out; of the role function, what was called."}


class Content(fields.Field[tuple[Part, ...]]):
    """A text, or an array of parts; loads to the parts."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A text, or parts.",
        "anyOf": [{"type": "string"}, tell_parts(*ROLES["user"], "tool_use")],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[Part, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise ValidationError("Not a valid string or array of parts.")
        return tuple(load_part(index, part) for index, part in enumerate(value))


def _tell_role(role: str) -> dict[str, Any]:
    content: dict[str, Any] = {"anyOf": [{"type": "string"}, tell_parts(*ROLES[role])]}
    told: dict[str, Any] = {
        "properties": {"role": {"const": role}, "content": content},
        "required": ["role", "content"],
    }
    if role in NO_CONTENT:
        content["anyOf"].append({"type": "null"})
        told["required"].remove("content")
    if role == "assistant":
        return told
    told["properties"] |= {"tool_calls": {"maxItems": 0}, "function_call": {"maxProperties": 0}}
    if needed := ANSWERS.get(role):
        told["properties"][needed] = {"type": "string"}
        told["required"].append(needed)
    return told


class MessageSchema(BaseSchema):
    role = fields.String(required=True, metadata={"enum": list(ROLES)})
    content = Content(allow_none=True, load_default=None)
    refusal = fields.String(allow_none=True)
    audio = AUDIO
    name = fields.String(allow_none=True, metadata=_NAME)
    tool_calls = fields.List(fields.Nested(PastToolCallSchema), allow_none=True)
    function_call = fields.Nested(PastFunctionCallSchema, allow_none=True)
    tool_call_id = fields.String(allow_none=True)

    @classmethod
    def tell(cls, told: dict[str, Any]) -> dict[str, Any]:
        empty = {"type": "object", "maxProperties": 0}
        either = [*told["properties"]["function_call"]["anyOf"], empty]
        told["properties"]["function_call"] = {"anyOf": either}
        return {**told, "anyOf": [_tell_role(role) for role in ROLES]}

    @pre_load
    def drop_empty_call(self, data: Any, **_: Any) -> Any:
        """An empty call is none."""
        if not isinstance(data, dict) or data.get("function_call") != {}:
            return data
        return {name: value for name, value in data.items() if name != "function_call"}

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        role = data["role"]
        if role not in ROLES:
            raise ValidationError(f"Must be one of: {', '.join(ROLES)}.", "role")
        self._check_parts(role, data["content"] or ())
        for name in CALLS:
            if data.get(name) and role != "assistant":
                raise ValidationError("Only the assistant calls functions.", name)
        if (needed := ANSWERS.get(role)) and data.get(needed) is None:
            raise ValidationError("Missing data for required field.", needed)
        if data["content"] is None and role not in NO_CONTENT:
            raise ValidationError("Must be a string or an array of parts.", "content")

    def _check_parts(self, role: str, parts: tuple[Part, ...]) -> None:
        for index, part in enumerate(parts):
            kind = _KINDS.get(type(part), "text")
            if kind not in ROLES[role]:
                message = f"Messages of role {role!r} hold no parts of type {kind!r}."
                raise ValidationError(
                    {index: {"type": [Coded(message, "unsupported_value")]}}, "content"
                )

    @post_load(pass_original=True)
    def build(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> ChatMessage:
        content = _content(data)
        calls = [*(data.get("tool_calls") or []), data.get("function_call")]
        calls = [*(part for part in content if isinstance(part, ToolCall)), *filter(None, calls)]
        parts = (*(part for part in content if not isinstance(part, ToolCall)), *calls)
        answers = data.get(ANSWERS.get(data["role"], "")) or ""
        if data["role"] == "tool":
            answers = answers or WITHOUT_ID
        return ChatMessage(data["role"], parts, answers, omissions_of(original))


def _content(data: dict[str, Any]) -> tuple[Part, ...]:
    """Return the parts that a message says, in whichever of its fields it says them."""
    content: tuple[Part, ...] | None = data["content"]
    if content is None:
        transcript = transcript_of(data.get("audio"))
        content = () if transcript is None else (transcript,)
    refusal = data.get("refusal")
    return content if refusal is None else (*content, refusal)
