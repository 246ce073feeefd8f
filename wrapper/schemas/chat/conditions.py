"""JSON Schemas of the conditions that involve several fields of a chat request."""

from __future__ import annotations

from typing import Any

_STREAM_OPTIONS_NEED_STREAM: dict[str, Any] = {
    "anyOf": [
        {"properties": {"stream_options": {"type": "null"}}},
        {"properties": {"stream": {"const": True}}, "required": ["stream"]},
    ]
}
_NO_SAMPLING_WITH_REASONING: dict[str, Any] = {
    "anyOf": [
        {"properties": {"reasoning_effort": {"enum": ["none", None]}}},
        {"properties": {"temperature": {"minimum": 1}, "top_p": {"minimum": 1}}},
    ]
}


def _nonempty(name: str) -> dict[str, Any]:
    return {"properties": {name: {"type": "array", "minItems": 1}}, "required": [name]}


_TOOL_CHOICE_NEEDS_TOOLS: dict[str, Any] = {
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
        _nonempty("tools"),
    ]
}
_FUNCTION_CALL_NEEDS_FUNCTIONS: dict[str, Any] = {
    "anyOf": [
        {"properties": {"function_call": {"enum": ["none", "auto", None]}}},
        _nonempty("functions"),
    ]
}
_TOOLS_OR_FUNCTIONS: dict[str, Any] = {
    "not": {"allOf": [_nonempty("tools"), _nonempty("functions")]}
}
_ONE_CHOICE_IN_A_SESSION: dict[str, Any] = {
    "anyOf": [
        {"properties": {"session_id": {"type": "null"}}},
        {"properties": {"n": {"enum": [1, None]}}},
    ]
}
_COMPACT_NEEDS_SESSION: dict[str, Any] = {
    "anyOf": [
        {"properties": {"claude": {"properties": {"compact": {"enum": [False, None]}}}}},
        {"properties": {"session_id": {"type": "string"}}, "required": ["session_id"]},
    ]
}
CONDITIONS = [
    _STREAM_OPTIONS_NEED_STREAM,
    _NO_SAMPLING_WITH_REASONING,
    _TOOL_CHOICE_NEEDS_TOOLS,
    _FUNCTION_CALL_NEEDS_FUNCTIONS,
    _TOOLS_OR_FUNCTIONS,
    _ONE_CHOICE_IN_A_SESSION,
    _COMPACT_NEEDS_SESSION,
]
