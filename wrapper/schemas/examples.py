"""Requests of each API that the OpenAPI document shows, by what they do."""

from __future__ import annotations

from wrapper.json_text import Json

_QUESTION = "What is the temperature in Oslo?"
_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_FUNCTION = {
    "name": "get_temperature",
    "description": "Tells how warm it is in a city now.",
    "parameters": _CITY,
}
_FORMAT = {"name": "city", "schema": _CITY}

CHAT: dict[str, Json] = {
    "conversation": {
        "model": "sonnet",
        "messages": [
            {"role": "system", "content": "Answer in one word."},
            {"role": "user", "content": "What is the capital of Norway?"},
        ],
    },
    "function": {
        "model": "sonnet",
        "messages": [{"role": "user", "content": _QUESTION}],
        "tools": [{"type": "function", "function": _FUNCTION}],
    },
    "structured-output": {
        "model": "sonnet",
        "messages": [{"role": "user", "content": "Name a city in Norway."}],
        "response_format": {"type": "json_schema", "json_schema": _FORMAT},
    },
}

RESPONSES: dict[str, Json] = {
    "text": {
        "model": "sonnet",
        "instructions": "Answer in one word.",
        "input": "What is the capital of Norway?",
    },
    "function": {
        "model": "sonnet",
        "input": _QUESTION,
        "tools": [{"type": "function", **_FUNCTION}],
    },
    "function-output": {
        "model": "sonnet",
        "input": [
            {"role": "user", "content": _QUESTION},
            {
                "type": "function_call",
                "call_id": "toolu_1",
                "name": "get_temperature",
                "arguments": '{"city": "Oslo"}',
            },
            {"type": "function_call_output", "call_id": "toolu_1", "output": "4 °C"},
        ],
        "tools": [{"type": "function", **_FUNCTION}],
    },
    "structured-output": {
        "model": "sonnet",
        "input": "Name a city in Norway.",
        "text": {"format": {"type": "json_schema", **_FORMAT}},
    },
}

COMPLETIONS: dict[str, Json] = {
    "prompt": {"model": "sonnet", "prompt": "Say hello.", "max_tokens": 64},
}

MESSAGES: dict[str, Json] = {
    "conversation": {
        "model": "sonnet",
        "max_tokens": 1024,
        "system": "Answer in one word.",
        "messages": [{"role": "user", "content": "What is the capital of Norway?"}],
    },
    "tool": {
        "model": "sonnet",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": _QUESTION}],
        "tools": [
            {
                "name": _FUNCTION["name"],
                "description": _FUNCTION["description"],
                "input_schema": _CITY,
            }
        ],
    },
}

TOOL_CONFIG: dict[str, Json] = {
    "read-only": {"allowed_tools": ["Read", "Glob", "Grep"], "max_turns": 10},
    "unlimited": {},
}

APPROVAL_DECISION: dict[str, Json] = {
    "approve": {"decision": "approve"},
    "approve-for-the-session": {"decision": "approve", "scope": "session"},
    "deny": {"decision": "deny", "reason": "Ask me again after the backup."},
}
