"""The tool choice: which of a request's functions the model may or must call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from marshmallow import ValidationError, fields, validates_schema
from marshmallow.validate import Equal, Length, OneOf

from wrapper.schemas.base import BaseSchema, StrictBool
from wrapper.services.turn import Function, ToolChoice

Mode = Literal["auto", "none", "any", "one"]


class _NamedSchema(BaseSchema):
    name = fields.String(required=True)


class _AllowedToolSchema(BaseSchema):
    type = fields.String(validate=Equal("function"))
    function = fields.Nested(_NamedSchema, required=True)


class _AllowedToolsSchema(BaseSchema):
    mode = fields.String(required=True, validate=OneOf(("auto", "required")))
    tools = fields.List(fields.Nested(_AllowedToolSchema), required=True, validate=Length(min=1))


class _ToolChoiceSchema(BaseSchema):
    type = fields.String(required=True, validate=OneOf(("function", "allowed_tools")))
    function = fields.Nested(_NamedSchema)
    allowed_tools = fields.Nested(_AllowedToolsSchema)

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        if data["type"] not in data:
            raise ValidationError("Missing data for required field.", data["type"])


@dataclass(frozen=True)
class RequestedToolChoice:
    """What a request demands, and the functions it allows; None allows all of them."""

    tool_choice: ToolChoice
    allowed: tuple[str, ...] | None = None


MODES: Mapping[str, RequestedToolChoice] = {
    "none": RequestedToolChoice(ToolChoice("none")),
    "auto": RequestedToolChoice(ToolChoice("auto")),
    "required": RequestedToolChoice(ToolChoice("any")),
}
_TOOL_CHOICE, _NAMED = _ToolChoiceSchema(), _NamedSchema()
_NAMED_JSON_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
}
_ALLOWED_JSON_SCHEMA = {
    "type": "object",
    "properties": {
        "mode": {"enum": ["auto", "required"]},
        "tools": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"type": {"const": "function"}, "function": _NAMED_JSON_SCHEMA},
                "required": ["function"],
            },
        },
    },
    "required": ["mode", "tools"],
}


class _AnthropicToolChoiceSchema(BaseSchema):
    name = fields.String()
    disable_parallel_tool_use = StrictBool(allow_none=True)

    @validates_schema(pass_original=True)
    def check(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> None:
        if original["type"] == "tool" and "name" not in data:
            raise ValidationError("Missing data for required field.", "name")


# Modes by their names in Anthropic's API.
_ANTHROPIC_MODES: Mapping[str, Mode] = {"auto": "auto", "any": "any", "none": "none", "tool": "one"}
_ANTHROPIC_TOOL_CHOICE = _AnthropicToolChoiceSchema()
_ANTHROPIC_JSON_SCHEMA = {
    "type": "object",
    "description": "The form of Anthropic's API.",
    "properties": {
        "type": {"enum": list(_ANTHROPIC_MODES)},
        "name": {"type": "string"},
        "disable_parallel_tool_use": {"type": ["boolean", "null"]},
    },
    "required": ["type"],
    "anyOf": [
        {"properties": {"type": {"not": {"const": "tool"}}}},
        {"required": ["name"]},
    ],
}


class ToolChoiceField(fields.Field[RequestedToolChoice]):
    """A mode, one function by name, or a list of allowed functions."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "Every name must be that of a tool in the request.",
        "anyOf": [
            {"enum": ["none", "auto", "required"]},
            {
                "type": "object",
                "properties": {"type": {"const": "function"}, "function": _NAMED_JSON_SCHEMA},
                "required": ["type", "function"],
            },
            {
                "type": "object",
                "properties": {
                    "type": {"const": "allowed_tools"},
                    "allowed_tools": _ALLOWED_JSON_SCHEMA,
                },
                "required": ["type", "allowed_tools"],
            },
            _ANTHROPIC_JSON_SCHEMA,
        ],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> RequestedToolChoice:
        if isinstance(value, str):
            return _mode(value, tuple(MODES))
        if isinstance(value, dict) and value.get("type") in tuple(_ANTHROPIC_MODES):
            return _anthropic(value)
        data = _TOOL_CHOICE.load(value)
        if data["type"] == "function":
            return RequestedToolChoice(ToolChoice("one", data["function"]["name"]))
        allowed = data["allowed_tools"]
        names = tuple(tool["function"]["name"] for tool in allowed["tools"])
        return RequestedToolChoice(MODES[allowed["mode"]].tool_choice, names)


class FunctionCallField(fields.Field[RequestedToolChoice]):
    """OpenAI's older form of it: a mode, or one function by name."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "The name must be that of a function in the request.",
        "anyOf": [{"enum": ["none", "auto"]}, _NAMED_JSON_SCHEMA],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> RequestedToolChoice:
        if isinstance(value, str):
            return _mode(value, ("none", "auto"))
        return RequestedToolChoice(ToolChoice("one", _NAMED.load(value)["name"]))


def check_tool_choice(
    functions: Sequence[Function], choice: RequestedToolChoice | None, param: str, choice_param: str
) -> None:
    """Raise ValidationError if two functions share a name, or the choice names an unknown one."""
    names = [function.name for function in functions]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValidationError({index: [f"Another function is named {name!r}."]}, param)
    named = () if choice is None else (choice.tool_choice.name, *(choice.allowed or ()))
    for name in filter(None, named):
        if name not in names:
            message = f"The {param} contain no function {name[:80]!r}."
            raise ValidationError(message, choice_param)
    if choice and choice.tool_choice.mode == "any" and not names:
        raise ValidationError(f"Only allowed with {param}.", choice_param)


def select_functions(
    functions: tuple[Function, ...], choice: RequestedToolChoice | None, *, parallel: bool
) -> tuple[tuple[Function, ...], ToolChoice]:
    """Return the functions that may be called, and the tool choice among them."""
    choice = choice or MODES["auto"]
    if choice.allowed is not None:
        functions = tuple(function for function in functions if function.name in choice.allowed)
    parallel = parallel and choice.tool_choice.parallel
    return functions, ToolChoice(choice.tool_choice.mode, choice.tool_choice.name, parallel)


def _anthropic(value: dict[str, Any]) -> RequestedToolChoice:
    data, mode = _ANTHROPIC_TOOL_CHOICE.load(value), _ANTHROPIC_MODES[value["type"]]
    name = data["name"] if mode == "one" else ""
    return RequestedToolChoice(ToolChoice(mode, name, not data.get("disable_parallel_tool_use")))


def _mode(value: str, modes: tuple[str, ...]) -> RequestedToolChoice:
    if value not in modes:
        raise ValidationError(f"Must be one of: {', '.join(modes)}; or an object.")
    return MODES[value]
