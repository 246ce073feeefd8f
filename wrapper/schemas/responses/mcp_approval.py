"""The tool type mcp: an MCP server of the request, and which of its tools need approval."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError

from wrapper.json_text import Json
from wrapper.schemas.base import CodedMessage
from wrapper.services.tools.mcp import normalise

ALWAYS, NEVER = "always", "never"


def load_unasked(tool: Json) -> tuple[str, ...] | None:
    """Return the tools of a server that run without approval; None for all. Default: none.

    Raises ValidationError.
    """
    value = tool.get("require_approval")
    try:
        return _load(ALWAYS if value is None else value)
    except ValidationError as error:
        raise ValidationError({"require_approval": error.messages}) from None


def _load(value: Any) -> tuple[str, ...] | None:
    if value in (ALWAYS, NEVER):
        return () if value == ALWAYS else None
    if not isinstance(value, dict) or not value.keys() <= {ALWAYS, NEVER}:
        raise ValidationError(f"Must be {ALWAYS}, {NEVER}, or an object with lists of tools.")
    always = frozenset(_tool_names(ALWAYS, value.get(ALWAYS)))
    return tuple(name for name in _tool_names(NEVER, value.get(NEVER)) if name not in always)


def _tool_names(name: str, given: Any) -> list[str]:
    if given is None:
        return []
    if isinstance(given, dict) and given.get("read_only") is not None:
        message = "What a server says of its tools is not relied on; use tool_names."
        raise ValidationError({name: {"read_only": [CodedMessage(message, "unsupported_value")]}})
    names = given.get("tool_names") if isinstance(given, dict) else None
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise ValidationError({name: {"tool_names": ["Not a valid list of strings."]}})
    return [normalise(each) for each in names]
