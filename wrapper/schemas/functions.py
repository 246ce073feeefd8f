"""The functions and the answer's format, as a chat completion request describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load
from marshmallow.validate import Equal, OneOf

from wrapper.schemas.base import BaseSchema, Coded, StrictBool
from wrapper.services.shapes import NOT_AT_TOP, what_is_wrong
from wrapper.services.turn import Function, Shape

NAME = "^[a-zA-Z0-9_-]{1,64}$"
MAX_FUNCTIONS = 128
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
ANY_OBJECT = Shape("json_object", {"type": "object"})


class Parameters(fields.Field[Mapping[str, Any]]):
    """A JSON Schema of an object; an empty one is that of no parameters."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A JSON Schema, without references to elsewhere. {} means no parameters.",
        "anyOf": [
            {
                "type": "object",
                "properties": {"type": {"const": "object"}},
                "required": ["type"],
                "not": {"anyOf": [{"required": [name]} for name in NOT_AT_TOP]},
            },
            {"type": "object", "maxProperties": 0},
        ],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("Not a valid JSON Schema object.")
        schema = value or NO_PARAMETERS
        if why := what_is_wrong(schema):
            raise ValidationError(Coded(f"The schema {why}.", "invalid_function_parameters"))
        return schema


def _name() -> fields.String:
    return fields.String(required=True, validate=_check_name, metadata={"pattern": NAME})


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name) or name.endswith("\n"):
        raise ValidationError("Must be 1 to 64 letters, digits, _ or -.")


class FunctionSchema(BaseSchema):
    name = _name()
    description = fields.String(allow_none=True)
    parameters = Parameters(allow_none=True)
    strict = StrictBool(allow_none=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Function:
        described = data.get("description") or ""
        return Function(data["name"], data.get("parameters") or NO_PARAMETERS, described)


class ToolSchema(BaseSchema):
    type = fields.String(
        required=True,
        validate=Equal("function", error="Only tools of type function are supported."),
    )
    function = fields.Nested(FunctionSchema, required=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Function:
        function: Function = data["function"]
        return function


class _JsonSchemaSchema(BaseSchema):
    name = _name()
    description = fields.String(allow_none=True)
    schema = Parameters(allow_none=True)
    strict = StrictBool(allow_none=True)


class ResponseFormatSchema(BaseSchema):
    type = fields.String(required=True, validate=OneOf(("text", "json_object", "json_schema")))
    json_schema = fields.Nested(_JsonSchemaSchema)

    @classmethod
    def tell(cls, told: dict[str, Any]) -> dict[str, Any]:
        other = {"properties": {"type": {"enum": ["text", "json_object"]}}}
        return {**told, "anyOf": [other, {"required": ["json_schema"]}]}

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Shape | None:
        if data["type"] != "json_schema":
            return ANY_OBJECT if data["type"] == "json_object" else None
        if "json_schema" not in data:
            raise ValidationError("Missing data for required field.", "json_schema")
        told = data["json_schema"]
        schema = told.get("schema") or ANY_OBJECT.schema
        return Shape(told["name"], schema, strict=bool(told.get("strict")))
