"""A message of a conversation, and the fields that its role allows and requires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, pre_load, validates_schema

from wrapper.schemas.base import CodedMessage, NarrowingSchema
from wrapper.schemas.chat.content_parts import TEXT_PARTS, load_part, parts_json_schema
from wrapper.schemas.chat.omissions import AUDIO_FIELD, omissions_of, transcript_of
from wrapper.schemas.chat.tool_calls import PastFunctionCallSchema, PastToolCallSchema
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.pairing import WITHOUT_ID
from wrapper.services.turn import Document, Image, Part, ToolCall, ToolResult

# The types of parts that each role's content may have.
ROLES: Mapping[str, tuple[str, ...]] = {
    "system": TEXT_PARTS,
    "developer": TEXT_PARTS,
    "user": (*TEXT_PARTS, "image_url", "file", "image", "document", "tool_result"),
    "assistant": (*TEXT_PARTS, "tool_use"),
    "tool": (*TEXT_PARTS, "image_url", "image"),
    "function": TEXT_PARTS,
}
# The field with which a message of these roles names the call that it answers.
ANSWER_FIELDS = {"tool": "tool_call_id", "function": "name"}
_PART_TYPES = {
    Image: "image_url",
    Document: "file",
    ToolCall: "tool_use",
    ToolResult: "tool_result",
}
# The roles whose content may be null. A result with null content is empty.
NULLABLE_CONTENT = ("assistant", "tool", "function")
CALL_FIELDS = ("tool_calls", "function_call")

_NAME_METADATA = {
    "description": "Accepted, and not sent to the model; in the role function, the function that "
    "was called."
}


class ContentField(fields.Field[tuple[Part, ...]]):
    """A text, or an array of parts; loads to a tuple of parts."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A text, or an array of parts.",
        "anyOf": [{"type": "string"}, parts_json_schema(*ROLES["user"], "tool_use")],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[Part, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise ValidationError("Not a valid string or array of parts.")
        return tuple(load_part(index, part) for index, part in enumerate(value))


def _role_json_schema(role: str) -> dict[str, Any]:
    content: dict[str, Any] = {"anyOf": [{"type": "string"}, parts_json_schema(*ROLES[role])]}
    json_schema: dict[str, Any] = {
        "properties": {"role": {"const": role}, "content": content},
        "required": ["role", "content"],
    }
    if role in NULLABLE_CONTENT:
        content["anyOf"].append({"type": "null"})
        json_schema["required"].remove("content")
    if role == "assistant":
        return json_schema
    json_schema["properties"] |= {
        "tool_calls": {"maxItems": 0},
        "function_call": {"maxProperties": 0},
    }
    if required_field := ANSWER_FIELDS.get(role):
        json_schema["properties"][required_field] = {"type": "string"}
        json_schema["required"].append(required_field)
    return json_schema


class MessageSchema(NarrowingSchema):
    role = fields.String(required=True, metadata={"enum": list(ROLES)})
    content = ContentField(allow_none=True, load_default=None)
    refusal = fields.String(allow_none=True)
    audio = AUDIO_FIELD
    name = fields.String(allow_none=True, metadata=_NAME_METADATA)
    tool_calls = fields.List(fields.Nested(PastToolCallSchema), allow_none=True)
    function_call = fields.Nested(PastFunctionCallSchema, allow_none=True)
    tool_call_id = fields.String(allow_none=True)

    @classmethod
    def extend_json_schema(cls, json_schema: dict[str, Any]) -> dict[str, Any]:
        empty = {"type": "object", "maxProperties": 0}
        either = [*json_schema["properties"]["function_call"]["anyOf"], empty]
        json_schema["properties"]["function_call"] = {"anyOf": either}
        return {**json_schema, "anyOf": [_role_json_schema(role) for role in ROLES]}

    @pre_load
    def drop_empty_call(self, data: Any, **_: Any) -> Any:
        """Treat an empty function_call as absent."""
        if not isinstance(data, dict) or data.get("function_call") != {}:
            return data
        return {name: value for name, value in data.items() if name != "function_call"}

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        role = data["role"]
        if role not in ROLES:
            raise ValidationError(f"Must be one of: {', '.join(ROLES)}.", "role")
        self._check_parts(role, data["content"] or ())
        for name in CALL_FIELDS:
            if data.get(name) and role != "assistant":
                raise ValidationError("Only assistant messages may have calls.", name)
        if (required_field := ANSWER_FIELDS.get(role)) and data.get(required_field) is None:
            raise ValidationError("Missing data for required field.", required_field)
        if data["content"] is None and role not in NULLABLE_CONTENT:
            raise ValidationError("Must be a string or an array of parts.", "content")

    def _check_parts(self, role: str, parts: tuple[Part, ...]) -> None:
        for index, part in enumerate(parts):
            kind = _PART_TYPES.get(type(part), "text")
            if kind not in ROLES[role]:
                message = f"Messages of role {role!r} may not hold parts of type {kind!r}."
                raise ValidationError(
                    {index: {"type": [CodedMessage(message, "unsupported_value")]}}, "content"
                )

    @post_load(pass_original=True)
    def build(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> ChatMessage:
        content = _content(data)
        calls = [*(data.get("tool_calls") or []), data.get("function_call")]
        calls = [*(part for part in content if isinstance(part, ToolCall)), *filter(None, calls)]
        parts = (*(part for part in content if not isinstance(part, ToolCall)), *calls)
        answers = data.get(ANSWER_FIELDS.get(data["role"], "")) or ""
        if data["role"] == "tool":
            answers = answers or WITHOUT_ID
        return ChatMessage(data["role"], parts, answers, omissions_of(original))


def _content(data: dict[str, Any]) -> tuple[Part, ...]:
    """Return the message's parts, from `content`, `refusal` or the transcript in `audio`."""
    content: tuple[Part, ...] | None = data["content"]
    if content is None:
        transcript = transcript_of(data.get("audio"))
        content = () if transcript is None else (transcript,)
    refusal = data.get("refusal")
    return content if refusal is None else (*content, refusal)
