"""A message of a conversation, with its text or text parts."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validates_schema

from wrapper.schemas.base import BaseSchema, Coded, is_neutral, tell_neutral
from wrapper.services.conversation import ChatMessage

ROLES = ("system", "developer", "user", "assistant")
# The kinds of parts that are text; a part holds its text under its kind's name.
KINDS = ("text", "refusal")

# This gateway has no functions; these values ask for none.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {"tool_calls": ([],), "function_call": ({},)}


def _part_schema(kind: str) -> dict[str, Any]:
    properties = {"type": {"type": "string", "const": kind}, kind: {"type": "string"}}
    return {"type": "object", "properties": properties, "required": ["type", kind]}


class Content(fields.Field[tuple[str, ...]]):
    """A text, or an array of text parts; loads to the texts."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A text, or text parts.",
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"oneOf": [_part_schema(kind) for kind in KINDS]}},
        ],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise ValidationError("Not a valid string or array of parts.")
        return tuple(_part_text(index, part) for index, part in enumerate(value))


def _part_text(index: int, part: Any) -> str:
    if not isinstance(part, dict):
        raise ValidationError({index: ["Not a valid object."]})
    kind = part.get("type")
    if kind not in KINDS:
        shown = f"{kind[:40]!r}" if isinstance(kind, str) else "this kind"
        message = f"Parts of type {shown} are not supported; send text."
        raise ValidationError({index: {"type": [Coded(message, "unsupported_value")]}})
    if not isinstance(part.get(kind), str):
        raise ValidationError({index: {kind: ["Not a valid string."]}})
    return str(part[kind])


class MessageSchema(BaseSchema):
    role = fields.String(required=True, metadata={"enum": list(ROLES)})
    content = Content(allow_none=True, load_default=None)
    refusal = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    tool_calls = fields.Raw(allow_none=True)
    function_call = fields.Raw(allow_none=True)

    @classmethod
    def tell(cls, told: dict[str, Any]) -> dict[str, Any]:
        spoken = {"properties": {"content": {"type": ["string", "array"]}}}
        refused = {"role": {"const": "assistant"}, "refusal": {"type": "string"}}
        told["properties"] |= tell_neutral(UNSUPPORTED)
        either = [
            {**spoken, "required": ["content"]},
            {"properties": refused, "required": ["refusal"]},
        ]
        return {**told, "anyOf": either}

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        role = data["role"]
        if role in ("tool", "function"):
            message = f"Messages of role {role!r} are not supported: this gateway has no functions."
            raise ValidationError(Coded(message, "unsupported_value"), "role")
        if role not in ROLES:
            raise ValidationError(f"Must be one of: {', '.join(ROLES)}.", "role")
        for name, neutral in UNSUPPORTED.items():
            if not is_neutral(data.get(name), neutral):
                raise ValidationError(
                    Coded("Not supported: this gateway has no functions.", "unsupported_value"),
                    name,
                )
        if data["content"] is None and (role != "assistant" or data.get("refusal") is None):
            raise ValidationError("Must be a string or an array of parts.", "content")

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ChatMessage:
        texts = (data["refusal"],) if data["content"] is None else data["content"]
        return ChatMessage(data["role"], texts)
