"""Convert a call of the history to what the model's API accepts."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from wrapper.services.messages.changes import Changes
from wrapper.services.tools.arguments import arguments_of
from wrapper.services.turn import ToolCall

# The key for arguments that are no JSON object, as in Anthropic's documentation.
INVALID = "INVALID_JSON"
UNKNOWN = "unknown_function"
_LONGEST = 128
_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{_LONGEST}}}")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_NAMED = f"the model's API takes names of 1 to {_LONGEST} letters, digits, _ and -"
_NO_OBJECT = "must be the text of a JSON object"


def accepted_call(call: ToolCall, index: int, key: str, changes: Changes) -> ToolCall:
    """Return *call*, which is at *key* of message *index*, as the model's API accepts it."""
    function = key if key == "function_call" else f"{key}.function"
    if not _NAME.fullmatch(call.name):
        changes.note(index, f"{function}.name", _NAMED)
        call = replace(call, name=_ODD.sub("_", call.name)[:_LONGEST] or UNKNOWN)
    if not call.arguments.strip():
        return replace(call, arguments="{}")
    if not is_object(call.arguments):
        changes.note(index, f"{function}.arguments", _NO_OBJECT)
        call = replace(call, arguments=_object_of(call.arguments))
    return call


def is_object(arguments: str) -> bool:
    """Say whether *arguments* is the text of a JSON object that can be passed on."""
    try:
        arguments_of(arguments)
    except (ValueError, RecursionError):
        return False
    return True


def _object_of(text: str) -> str:
    """Return the object that *text* means, or an object that contains the text unchanged.

    null and [] mean no arguments. An object may be encoded twice.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if value is None or value == []:
        return "{}"
    if isinstance(value, str) and value != text and is_object(value):
        return value
    return json.dumps({INVALID: text.encode(errors="replace").decode()}, ensure_ascii=False)
