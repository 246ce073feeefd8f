"""The functions and the answer's format, as a chat completion request describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, pre_load
from marshmallow.validate import Equal, OneOf

from wrapper.schemas.base import BaseSchema, Coded, StrictBool
from wrapper.services.json_schema.model_schema import (
    ModelSchema,
    adapt,
    state_in_schema,
    state_original,
)
from wrapper.services.json_schema.object_schema import NoObject
from wrapper.services.json_schema.validation import what_is_wrong
from wrapper.services.turn import Function, OutputSchema

NAME = "^[a-zA-Z0-9_-]{1,64}$"
MAX_FUNCTIONS = 128
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
SEVERAL = {"type": "array", "minItems": 1}
ANY_OBJECT = OutputSchema("json_object", {"type": "object"})


class Parameters(fields.Field[ModelSchema]):
    """A JSON Schema of an object; an empty one is that of no parameters."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A JSON Schema that accepts objects, without references to elsewhere. {} "
        "means no parameters.",
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "type": {
                        "anyOf": [
                            {"const": "object"},
                            {"type": "array", "contains": {"const": "object"}},
                        ]
                    },
                    "$ref": {"type": "string"},
                    **dict.fromkeys(("anyOf", "oneOf", "allOf"), SEVERAL),
                },
            },
            {"const": True},
        ],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> ModelSchema:
        if not isinstance(value, (dict, bool)):
            raise ValidationError("Not a valid JSON Schema.")
        schema = NO_PARAMETERS if value == {} else value
        try:
            why = None if isinstance(schema, bool) else what_is_wrong(schema)
            if why is None:
                return adapt(schema)
        except NoObject as error:
            why = str(error)
        raise ValidationError(Coded(f"The schema {why}.", "invalid_function_parameters"))


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
        adapted = data.get("parameters") or ModelSchema(NO_PARAMETERS)
        schema, described = state_original(adapted, data.get("description") or "")
        strict = bool(data.get("strict"))
        return Function(data["name"], schema, described, adapted.original, strict)


_FLAT = ("name", "description", "parameters", "strict")
_TOLD_FLAT: Mapping[str, Any] = {
    "name": {"type": "string", "pattern": NAME},
    "description": {"type": ["string", "null"]},
    "strict": {"type": ["boolean", "null"]},
}
_TOLD_SCHEMA = {"anyOf": [Parameters.json_schema, {"type": "null"}]}
_RESPONSES_TOOL = {
    "type": "object",
    "description": "A function as OpenAI's Responses API has it.",
    "properties": {**_TOLD_FLAT, "type": {"const": "function"}, "parameters": _TOLD_SCHEMA},
    "required": ["type", "name"],
    "not": {"anyOf": [{"required": ["function"]}, {"required": ["input_schema"]}]},
}
_ANTHROPIC_TOOL = {
    "type": "object",
    "description": "A tool as Anthropic's API has it.",
    "properties": {
        **_TOLD_FLAT,
        "type": {"enum": ["custom", "function"]},
        "input_schema": _TOLD_SCHEMA,
    },
    "required": ["name", "input_schema"],
    "not": {"required": ["function"]},
}


class ToolSchema(BaseSchema):
    """A tool; also as Anthropic's API and OpenAI's Responses API have it, without `function`."""

    type = fields.String(
        required=True,
        validate=Equal("function", error="Only tools of type function are supported."),
    )
    function = fields.Nested(FunctionSchema, required=True)

    @classmethod
    def tell(cls, told: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [told, _RESPONSES_TOOL, _ANTHROPIC_TOOL]}

    @pre_load
    def nest(self, data: Any, **_: Any) -> Any:
        """Put what a flat tool says of its function where OpenAI's chat completions have it."""
        if not isinstance(data, dict) or "function" in data or "name" not in data:
            return data
        if "input_schema" in data and data.get("type", "custom") in ("custom", "function"):
            data = {**data, "type": "function", "parameters": data["input_schema"]}
        held = {key: data[key] for key in _FLAT if key in data}
        return {**data, "function": held}

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
    def build(self, data: dict[str, Any], **_: Any) -> OutputSchema | None:
        if data["type"] != "json_schema":
            return ANY_OBJECT if data["type"] == "json_object" else None
        if "json_schema" not in data:
            raise ValidationError("Missing data for required field.", "json_schema")
        told = data["json_schema"]
        adapted = told.get("schema") or ModelSchema(ANY_OBJECT.schema)
        schema, strict = state_in_schema(adapted), bool(told.get("strict"))
        return OutputSchema(told["name"], schema, strict=strict, original=adapted.original)
