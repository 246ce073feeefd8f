"""The tools, functions and response format of a chat completion request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, pre_load
from marshmallow.validate import Equal, OneOf

from wrapper.schemas.base import BaseSchema, CodedMessage, StrictBool
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
_NONEMPTY_ARRAY = {"type": "array", "minItems": 1}
ANY_OBJECT = OutputSchema("json_object", {"type": "object"})


class ParametersField(fields.Field[ModelSchema]):
    """A JSON Schema that accepts objects; an empty one means no parameters."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A JSON Schema that accepts objects, without references to other documents. "
        "{} means no parameters.",
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
                    **dict.fromkeys(("anyOf", "oneOf", "allOf"), _NONEMPTY_ARRAY),
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
        raise ValidationError(CodedMessage(f"The schema {why}.", "invalid_function_parameters"))


def _name() -> fields.String:
    return fields.String(required=True, validate=_check_name, metadata={"pattern": NAME})


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name) or name.endswith("\n"):
        raise ValidationError("Must be 1 to 64 letters, digits, _ or -.")


class FunctionSchema(BaseSchema):
    name = _name()
    description = fields.String(allow_none=True)
    parameters = ParametersField(allow_none=True)
    strict = StrictBool(allow_none=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Function:
        adapted = data.get("parameters") or ModelSchema(NO_PARAMETERS)
        schema, described = state_original(adapted, data.get("description") or "")
        strict = bool(data.get("strict"))
        return Function(data["name"], schema, described, adapted.original, strict)


_FUNCTION_KEYS = ("name", "description", "parameters", "strict")
_FLAT_PROPERTIES: Mapping[str, Any] = {
    "name": {"type": "string", "pattern": NAME},
    "description": {"type": ["string", "null"]},
    "strict": {"type": ["boolean", "null"]},
}
_PARAMETERS_JSON_SCHEMA = {"anyOf": [ParametersField.json_schema, {"type": "null"}]}
_RESPONSES_TOOL = {
    "type": "object",
    "description": "A function in the form of OpenAI's Responses API.",
    "properties": {
        **_FLAT_PROPERTIES,
        "type": {"const": "function"},
        "parameters": _PARAMETERS_JSON_SCHEMA,
    },
    "required": ["type", "name"],
    "not": {"anyOf": [{"required": ["function"]}, {"required": ["input_schema"]}]},
}
_ANTHROPIC_TOOL = {
    "type": "object",
    "description": "A tool in the form of Anthropic's API.",
    "properties": {
        **_FLAT_PROPERTIES,
        "type": {"enum": ["custom", "function"]},
        "input_schema": _PARAMETERS_JSON_SCHEMA,
    },
    "required": ["name", "input_schema"],
    "not": {"required": ["function"]},
}


class ToolSchema(BaseSchema):
    """A tool, also in the forms of Anthropic's API and the Responses API, without `function`."""

    type = fields.String(
        required=True,
        validate=Equal("function", error="Only tools of type function are supported."),
    )
    function = fields.Nested(FunctionSchema, required=True)

    @classmethod
    def extend_json_schema(cls, json_schema: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [json_schema, _RESPONSES_TOOL, _ANTHROPIC_TOOL]}

    @pre_load
    def nest(self, data: Any, **_: Any) -> Any:
        """Move a flat tool's properties into `function`, where chat completions have them."""
        if not isinstance(data, dict) or "function" in data or "name" not in data:
            return data
        if "input_schema" in data and data.get("type", "custom") in ("custom", "function"):
            data = {**data, "type": "function", "parameters": data["input_schema"]}
        function = {key: data[key] for key in _FUNCTION_KEYS if key in data}
        return {**data, "function": function}

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Function:
        function: Function = data["function"]
        return function


class _JsonSchemaSchema(BaseSchema):
    name = _name()
    description = fields.String(allow_none=True)
    schema = ParametersField(allow_none=True)
    strict = StrictBool(allow_none=True)


class ResponseFormatSchema(BaseSchema):
    type = fields.String(required=True, validate=OneOf(("text", "json_object", "json_schema")))
    json_schema = fields.Nested(_JsonSchemaSchema)

    @classmethod
    def extend_json_schema(cls, json_schema: dict[str, Any]) -> dict[str, Any]:
        without_schema = {"properties": {"type": {"enum": ["text", "json_object"]}}}
        return {**json_schema, "anyOf": [without_schema, {"required": ["json_schema"]}]}

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> OutputSchema | None:
        if data["type"] != "json_schema":
            return ANY_OBJECT if data["type"] == "json_object" else None
        if "json_schema" not in data:
            raise ValidationError("Missing data for required field.", "json_schema")
        requested = data["json_schema"]
        adapted = requested.get("schema") or ModelSchema(ANY_OBJECT.schema)
        schema, strict = state_in_schema(adapted), bool(requested.get("strict"))
        return OutputSchema(requested["name"], schema, strict=strict, original=adapted.original)
