"""The tool calls in an assistant's message."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load

from wrapper.json_text.precision import write_exact
from wrapper.schemas.base import BaseSchema, CodedMessage
from wrapper.services.messages.pairing import WITHOUT_ID
from wrapper.services.turn import ToolCall

_ID_METADATA = {
    "description": "If empty, the gateway makes up an id, and gives it to the result with an empty "
    "id too."
}


class ArgumentsField(fields.Field[str]):
    """A text, normally a JSON object; a blank or missing one counts as an empty object."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A JSON object, normally as text. An empty text counts as {}. A text that "
        "is not a JSON object reaches the model in an object, under the key INVALID_JSON.",
        "anyOf": [{"type": "string"}, {"type": "object"}],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if isinstance(value, dict):
            return write_exact(value)
        if not isinstance(value, str):
            raise ValidationError("Not a valid string.")
        return value if value.strip() else "{}"


def _check_type(value: str) -> None:
    if value != "function":
        message = f"Calls of type {value[:40]!r} are not supported; only function is."
        raise ValidationError(CodedMessage(message, "unsupported_value"))


class PastFunctionCallSchema(BaseSchema):
    """A function and its arguments. Alone, it is a call in OpenAI's older form, without an id."""

    name = fields.String(required=True)
    arguments = ArgumentsField(allow_none=True, load_default=None)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ToolCall:
        return ToolCall("", data["name"], data["arguments"] or "{}")


class PastToolCallSchema(BaseSchema):
    id = fields.String(required=True, metadata=_ID_METADATA)
    type = fields.String(allow_none=True, validate=_check_type, metadata={"enum": ["function"]})
    function = fields.Nested(PastFunctionCallSchema, required=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ToolCall:
        call: ToolCall = data["function"]
        return ToolCall(data["id"] or WITHOUT_ID, call.name, call.arguments)
