"""The functions and the answer's format, as a chat completion request describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Equal, Length, OneOf, Regexp

from wrapper.schemas.base import BaseSchema, Coded, StrictBool
from wrapper.services.shapes import what_is_wrong
from wrapper.services.turn import Calling, Function, Shape

NAME = Regexp(r"[a-zA-Z0-9_-]{1,64}\Z", error="Must be 1 to 64 letters, digits, _ or -.")
MAX_FUNCTIONS = 128
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
ANY_OBJECT = Shape("json_object", {"type": "object"})


class Parameters(fields.Field[Mapping[str, Any]]):
    """A JSON Schema of an object; an empty one is that of no parameters."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("Not a valid JSON Schema object.")
        schema = value or NO_PARAMETERS
        if why := what_is_wrong(schema):
            raise ValidationError(Coded(f"The schema {why}.", "invalid_function_parameters"))
        return schema


class FunctionSchema(BaseSchema):
    name = fields.String(required=True, validate=NAME)
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


class _NamedSchema(BaseSchema):
    name = fields.String(required=True)


class _AllowedToolSchema(BaseSchema):
    type = fields.String(validate=Equal("function"))
    function = fields.Nested(_NamedSchema, required=True)


class _AllowedSchema(BaseSchema):
    mode = fields.String(required=True, validate=OneOf(("auto", "required")))
    tools = fields.List(fields.Nested(_AllowedToolSchema), required=True, validate=Length(min=1))


class _ChoiceSchema(BaseSchema):
    type = fields.String(required=True, validate=OneOf(("function", "allowed_tools")))
    function = fields.Nested(_NamedSchema)
    allowed_tools = fields.Nested(_AllowedSchema)

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        if data["type"] not in data:
            raise ValidationError("Missing data for required field.", data["type"])


@dataclass(frozen=True)
class Choice:
    """Which functions are to be called; `allowed` None means that all may be."""

    calling: Calling
    allowed: tuple[str, ...] | None = None


MODES: Mapping[str, Choice] = {
    "none": Choice(Calling("none")),
    "auto": Choice(Calling("auto")),
    "required": Choice(Calling("any")),
}
_CHOICE, _NAMED = _ChoiceSchema(), _NamedSchema()


class ToolChoice(fields.Field[Choice]):
    """A mode, one function by its name, or a list of those that are allowed."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Choice:
        if isinstance(value, str):
            return _mode(value, tuple(MODES))
        data = _CHOICE.load(value)
        if data["type"] == "function":
            return Choice(Calling("one", data["function"]["name"]))
        allowed = data["allowed_tools"]
        names = tuple(tool["function"]["name"] for tool in allowed["tools"])
        return Choice(MODES[allowed["mode"]].calling, names)


class FunctionCall(fields.Field[Choice]):
    """The same in its first form: a mode, or one function by its name."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Choice:
        if isinstance(value, str):
            return _mode(value, ("none", "auto"))
        return Choice(Calling("one", _NAMED.load(value)["name"]))


class _JsonSchemaSchema(BaseSchema):
    name = fields.String(required=True, validate=NAME)
    description = fields.String(allow_none=True)
    schema = Parameters(allow_none=True)
    strict = StrictBool(allow_none=True)


class ResponseFormatSchema(BaseSchema):
    type = fields.String(required=True, validate=OneOf(("text", "json_object", "json_schema")))
    json_schema = fields.Nested(_JsonSchemaSchema)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Shape | None:
        if data["type"] != "json_schema":
            return ANY_OBJECT if data["type"] == "json_object" else None
        if "json_schema" not in data:
            raise ValidationError("Missing data for required field.", "json_schema")
        told = data["json_schema"]
        return Shape(told["name"], told.get("schema") or ANY_OBJECT.schema)


def check_choice(
    functions: Sequence[Function], choice: Choice | None, param: str, choice_param: str
) -> None:
    """Raise ValidationError where two functions have one name, or the choice names none of them."""
    names = [function.name for function in functions]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValidationError({index: [f"There is a function {name!r} already."]}, param)
    named = () if choice is None else (choice.calling.name, *(choice.allowed or ()))
    for name in filter(None, named):
        if name not in names:
            why = f"There is no function {name[:80]!r} among the {param}."
            raise ValidationError(why, choice_param)
    if choice and choice.calling.mode == "any" and not names:
        raise ValidationError(f"Only allowed with {param}.", choice_param)


def choose(
    functions: tuple[Function, ...], choice: Choice | None, *, parallel: bool
) -> tuple[tuple[Function, ...], Calling]:
    """Return the functions that may be called, and whether they are to be."""
    choice = choice or MODES["auto"]
    if choice.allowed is not None:
        functions = tuple(one for one in functions if one.name in choice.allowed)
    return functions, Calling(choice.calling.mode, choice.calling.name, parallel)


def _mode(value: str, modes: tuple[str, ...]) -> Choice:
    if value not in modes:
        raise ValidationError(f"Must be one of: {', '.join(modes)}; or an object.")
    return MODES[value]
