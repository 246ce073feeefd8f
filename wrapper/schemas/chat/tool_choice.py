"""The choice: which of its functions a request wants to be called."""

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

    tool_choice: ToolChoice
    allowed: tuple[str, ...] | None = None


MODES: Mapping[str, Choice] = {
    "none": Choice(ToolChoice("none")),
    "auto": Choice(ToolChoice("auto")),
    "required": Choice(ToolChoice("any")),
}
_CHOICE, _NAMED = _ChoiceSchema(), _NamedSchema()
NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
ALLOWED = {
    "type": "object",
    "properties": {
        "mode": {"enum": ["auto", "required"]},
        "tools": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"type": {"const": "function"}, "function": NAMED},
                "required": ["function"],
            },
        },
    },
    "required": ["mode", "tools"],
}


class _AnthropicSchema(BaseSchema):
    name = fields.String()
    disable_parallel_tool_use = StrictBool(allow_none=True)

    @validates_schema(pass_original=True)
    def check(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> None:
        if original["type"] == "tool" and "name" not in data:
            raise ValidationError("Missing data for required field.", "name")


# The modes of Anthropic's API, by their names there.
_ANTHROPIC_MODES: Mapping[str, Mode] = {"auto": "auto", "any": "any", "none": "none", "tool": "one"}
_ANTHROPIC = _AnthropicSchema()
_TOLD_ANTHROPIC = {
    "type": "object",
    "description": "As Anthropic's API has it.",
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


class ToolChoiceField(fields.Field[Choice]):
    """A mode, one function by its name, or a list of those that are allowed."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "Names must be those of tools that are given.",
        "anyOf": [
            {"enum": ["none", "auto", "required"]},
            {
                "type": "object",
                "properties": {"type": {"const": "function"}, "function": NAMED},
                "required": ["type", "function"],
            },
            {
                "type": "object",
                "properties": {"type": {"const": "allowed_tools"}, "allowed_tools": ALLOWED},
                "required": ["type", "allowed_tools"],
            },
            _TOLD_ANTHROPIC,
        ],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Choice:
        if isinstance(value, str):
            return _mode(value, tuple(MODES))
        if isinstance(value, dict) and value.get("type") in tuple(_ANTHROPIC_MODES):
            return _anthropic(value)
        data = _CHOICE.load(value)
        if data["type"] == "function":
            return Choice(ToolChoice("one", data["function"]["name"]))
        allowed = data["allowed_tools"]
        names = tuple(tool["function"]["name"] for tool in allowed["tools"])
        return Choice(MODES[allowed["mode"]].tool_choice, names)


class FunctionCall(fields.Field[Choice]):
    """The same in its first form: a mode, or one function by its name."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "The name must be that of a function that is given.",
        "anyOf": [{"enum": ["none", "auto"]}, NAMED],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Choice:
        if isinstance(value, str):
            return _mode(value, ("none", "auto"))
        return Choice(ToolChoice("one", _NAMED.load(value)["name"]))


def check_choice(
    functions: Sequence[Function], choice: Choice | None, param: str, choice_param: str
) -> None:
    """Raise ValidationError where two functions have one name, or the choice names none of them."""
    names = [function.name for function in functions]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValidationError({index: [f"There is a function {name!r} already."]}, param)
    named = () if choice is None else (choice.tool_choice.name, *(choice.allowed or ()))
    for name in filter(None, named):
        if name not in names:
            why = f"There is no function {name[:80]!r} among the {param}."
            raise ValidationError(why, choice_param)
    if choice and choice.tool_choice.mode == "any" and not names:
        raise ValidationError(f"Only allowed with {param}.", choice_param)


def choose(
    functions: tuple[Function, ...], choice: Choice | None, *, parallel: bool
) -> tuple[tuple[Function, ...], ToolChoice]:
    """Return the functions that may be called, and whether they are to be."""
    choice = choice or MODES["auto"]
    if choice.allowed is not None:
        functions = tuple(one for one in functions if one.name in choice.allowed)
    parallel = parallel and choice.tool_choice.parallel
    return functions, ToolChoice(choice.tool_choice.mode, choice.tool_choice.name, parallel)


def _anthropic(value: dict[str, Any]) -> Choice:
    data, mode = _ANTHROPIC.load(value), _ANTHROPIC_MODES[value["type"]]
    name = data["name"] if mode == "one" else ""
    return Choice(ToolChoice(mode, name, not data.get("disable_parallel_tool_use")))


def _mode(value: str, modes: tuple[str, ...]) -> Choice:
    if value not in modes:
        raise ValidationError(f"Must be one of: {', '.join(modes)}; or an object.")
    return MODES[value]
