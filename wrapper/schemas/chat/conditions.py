"""The rules: what is asked of several fields of a chat request at once, as JSON Schema has it."""

from __future__ import annotations

from typing import Any

_OPTIONS_OF_STREAM: dict[str, Any] = {
    "anyOf": [
        {"properties": {"stream_options": {"type": "null"}}},
        {"properties": {"stream": {"const": True}}, "required": ["stream"]},
    ]
}
_NO_SAMPLING: dict[str, Any] = {
    "anyOf": [
        {"properties": {"reasoning_effort": {"enum": ["none", None]}}},
        {"properties": {"temperature": {"minimum": 1}, "top_p": {"minimum": 1}}},
    ]
}


def _not_empty(name: str) -> dict[str, Any]:
    return {"properties": {name: {"type": "array", "minItems": 1}}, "required": [name]}


_NEEDS_TOOLS: dict[str, Any] = {
    "anyOf": [
        {"properties": {"tool_choice": {"enum": ["none", "auto", None]}}},
        {
            "properties": {
                "tool_choice": {
                    "type": "object",
                    "properties": {"type": {"enum": ["none", "auto"]}},
                    "required": ["type"],
                }
            }
        },
        _not_empty("tools"),
    ]
}
_NEEDS_FUNCTIONS: dict[str, Any] = {
    "anyOf": [
        {"properties": {"function_call": {"enum": ["none", "auto", None]}}},
        _not_empty("functions"),
    ]
}
_ONE_FORM: dict[str, Any] = {"not": {"allOf": [_not_empty("tools"), _not_empty("functions")]}}
_ONE_ANSWER: dict[str, Any] = {
    "anyOf": [
        {"properties": {"session_id": {"type": "null"}}},
        {"properties": {"n": {"enum": [1, None]}}},
    ]
}
_NEEDS_SESSION: dict[str, Any] = {
    "anyOf": [
        {"properties": {"claude": {"properties": {"compact": {"enum": [False, None]}}}}},
        {"properties": {"session_id": {"type": "string"}}, "required": ["session_id"]},
    ]
}
RULES = [
    *(_OPTIONS_OF_STREAM, _NO_SAMPLING, _NEEDS_TOOLS, _NEEDS_FUNCTIONS, _ONE_FORM),
    *(_ONE_ANSWER, _NEEDS_SESSION),
]
