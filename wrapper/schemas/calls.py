"""The calls: functions that the model has called, as an assistant's message tells of them."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load
from marshmallow.validate import Length

from wrapper.schemas.base import BaseSchema, Coded
from wrapper.services.turn import Call


class Arguments(fields.Field[str]):
    """A text, of a JSON object as a rule; a blank one, or none, counts as an empty object."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A JSON object in a text. An empty text counts as {}; of anything else the "
        "model gets the object that it encodes, or one that holds it as INVALID_JSON.",
        "type": "string",
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
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
    def build(self, data: dict[str, Any], **_: Any) -> Call:
        return Call("", data["name"], data["arguments"] or "{}")


class PastToolCallSchema(BaseSchema):
    id = fields.String(required=True, validate=Length(min=1))
    type = fields.String(allow_none=True, validate=_check_type, metadata={"enum": ["function"]})
    function = fields.Nested(PastFunctionCallSchema, required=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Call:
        called: Call = data["function"]
        return Call(data["id"], called.name, called.arguments)
