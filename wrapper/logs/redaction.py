"""Redact frames, texts and errors that may quote callers and models, for the log."""

from __future__ import annotations

import json
from typing import Any

# The fields of Claude Code's frames whose values are logged. None contains a caller's words.
SHOWN = frozenset(
    {
        *("type", "subtype", "role", "request_id", "session_id", "uuid", "command_uuid", "state"),
        *("index", "is_error", "status", "mode", "permissionMode", "apiKeySource"),
        *("claude_code_version", "output_style", "max_thinking_tokens", "method", "jsonrpc"),
        *("duration_ms", "duration_api_ms", "ttft_ms", "num_turns", "total_cost_usd"),
        *("input_tokens", "output_tokens", "cache_read_input_tokens"),
        *("cache_creation_input_tokens", "service_tier"),
    }
)
# The fields that contain further fields of the protocol, and no caller's names.
OPENED = frozenset(
    {"message", "request", "response", "event", "delta", "content_block", "content", "usage"}
)
STOP_REASONS = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
)
LONGEST = 64
# Errors whose messages come from Python, the system or a server, and quote no data.
SAFE_ERRORS = (
    OSError,
    AttributeError,
    TypeError,
    NameError,
    ImportError,
    MemoryError,
    RecursionError,
)
# Only these modules' errors: subclasses in other modules may quote data.
SAFE_MODULES = frozenset({"builtins", "socket", "ssl"})


class Redacted:
    """A value that a log shows as structure and lengths, and in full with LOG_PROMPTS.

    *form* is shown in place of the structure.
    """

    def __init__(self, value: Any, form: str | None = None):
        self.value = value
        self._form = form

    def shown(self) -> Any:
        """Return the form that is shown without LOG_PROMPTS."""
        if self._form is not None:
            return self._form
        if isinstance(self.value, BaseException):
            return f"{type(self.value).__name__}: {message_of(self.value)}"
        return _structure(self.value)

    def __str__(self) -> str:
        shown = self.shown()
        return shown if isinstance(shown, str) else json.dumps(shown)

    __repr__ = __str__


def message_of(error: BaseException) -> str:
    """Return the message of *error*, or only its length if it may quote data."""
    is_safe = isinstance(error, SAFE_ERRORS) and type(error).__module__ in SAFE_MODULES
    return str(error) if is_safe else _length(str(error))


def _structure(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _field(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_structure(inner) for inner in value]
    return _length(value)


def _field(name: Any, value: Any) -> Any:
    if name in OPENED and isinstance(value, (dict, list)):
        return _structure(value)
    if value is None or (name in SHOWN and _is_short(value)):
        return value
    if name == "stop_reason" and isinstance(value, str) and value in STOP_REASONS:
        return value
    return _length(value)


def _is_short(value: Any) -> bool:
    return isinstance(value, (bool, int, float)) or (
        isinstance(value, str) and len(value) < LONGEST
    )


def _length(value: Any) -> str:
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    if isinstance(value, (dict, list)):
        return f"<{len(value)} entries>"
    return f"<{type(value).__name__}>"
