"""The calls: functions that the model has called, as an assistant's message tells of them."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load

from wrapper.json_text.precision import write_exact
from wrapper.schemas.base import BaseSchema, Coded
from wrapper.services.messages.pairing import WITHOUT_ID
from wrapper.services.turn import ToolCall

_ID = {"description": "Where it is empty, an id is made up, for the result with an empty one, too."}


class Arguments(fields.Field[str]):
    """A text, of a JSON object as a rule; a blank one, or none, counts as an empty object."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A JSON object, as a rule in a text. An empty text counts as {}; of all "
        "else the model gets the object that it encodes, or one that holds it as INVALID_JSON.",
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
        message = f"Calls of type {value[:40]!r} are not supported; there are only functions."
        raise ValidationError(Coded(message, "unsupported_value"))


class PastFunctionCallSchema(BaseSchema):
    """What is called. By itself it is a call of OpenAI's older way, which has no id."""

    name = fields.String(required=True)
    arguments = Arguments(allow_none=True, load_default=None)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ToolCall:
        return ToolCall("", data["name"], data["arguments"] or "{}")


class PastToolCallSchema(BaseSchema):
    id = fields.String(required=True, metadata=_ID)
    type = fields.String(allow_none=True, validate=_check_type, metadata={"enum": ["function"]})
    function = fields.Nested(PastFunctionCallSchema, required=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ToolCall:
        called: ToolCall = data["function"]
        return ToolCall(data["id"] or WITHOUT_ID, called.name, called.arguments)
