"""The fields of a Messages API request that are passed on, checked for their outer form only."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from wrapper.json_text import Json

ROLES = ("user", "assistant", "system")
_BLOCKS: Json = {"type": "array", "items": {"type": "object"}}
_CONTENT: Json = {"anyOf": [{"type": "string"}, _BLOCKS]}
# The tools that the client runs: its own, and those that Anthropic has only trained its models for.
_CLIENT_TOOL = re.compile(r"custom|(bash|text_editor|computer|memory)_\d{8}")
_DATE = re.compile(r"_\d{8}")


class MessagesField(fields.Field[list[Json]]):
    """A conversation. The model's API checks the blocks of its messages."""

    json_schema: ClassVar[Json] = {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["role", "content"],
            "properties": {"role": {"type": "string", "enum": [*ROLES]}, "content": _CONTENT},
        },
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Json]:
        if not isinstance(value, list):
            raise ValidationError("Not a valid list.")
        for index, message in enumerate(value):
            _at(index, _check_message, message)
        if not any(message["role"] == "user" for message in value):
            raise ValidationError("At least one message of the user is required.")
        return value


class ContentField(fields.Field[Any]):
    """A text, or blocks."""

    json_schema = _CONTENT

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        check_content(value)
        return value


class ToolsField(fields.Field[list[Json]]):
    """Tools of any kind."""

    json_schema = _BLOCKS

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Json]:
        if not _is_list_of_objects(value):
            raise ValidationError("Not a valid list of tools.")
        for index, tool in enumerate(value):
            _at(index, _check_type, tool)
        return list(value)


def server_tools(tools: list[Json]) -> tuple[str, ...]:
    """Return the names, without their dates, of the *tools* that run at the model's provider."""
    kinds = (tool.get("type") or "custom" for tool in tools)
    servers = (_DATE.sub("", kind) for kind in kinds if not _CLIENT_TOOL.fullmatch(kind))
    return tuple(dict.fromkeys(servers))


def check_content(value: Any) -> None:
    """Raise ValidationError if *value* is neither a text nor a list of blocks."""
    if not isinstance(value, str) and not _is_list_of_objects(value):
        raise ValidationError("Not a valid string or list of blocks.")


def _check_message(message: Any) -> None:
    if not isinstance(message, dict):
        raise ValidationError("Not a valid message.")
    if message.get("role") not in ROLES:
        raise ValidationError({"role": [f"Must be one of: {', '.join(ROLES)}."]})
    _at("content", check_content, message.get("content"))


def _check_type(tool: Json) -> None:
    if not isinstance(tool.get("type", ""), str | None):
        raise ValidationError({"type": ["Not a valid string."]})


def _at(place: str | int, check: Callable[[Any], None], value: Any) -> None:
    """Check *value*, and give the error the *place* where that stands."""
    try:
        check(value)
    except ValidationError as error:
        raise ValidationError({place: error.messages}) from None


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
