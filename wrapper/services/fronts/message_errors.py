"""The errors of the Messages API: their statuses, their types, and their words."""

from __future__ import annotations

from wrapper.errors import (
    ApiError,
    ContextLengthExceeded,
    InvalidApiKey,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    TimedOut,
)
from wrapper.json_text import Json

OVERLOADED_STATUS = 529
# The words by which Claude Code knows that it has to compact a conversation.
TOO_LONG = "prompt is too long"
# On these details, the tool loops of Anthropic's libraries ask again without a thread.
NO_THREADS = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
_TYPES: tuple[tuple[type[ApiError], str], ...] = (
    (InvalidApiKey, "authentication_error"),
    (QuotaExceeded, "rate_limit_error"),
    (RateLimited, "rate_limit_error"),
    (Overloaded, "overloaded_error"),
    (TimedOut, "timeout_error"),
)
_TYPES_BY_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
}


def error_status(error: ApiError) -> int:
    """Return the status that this API has for *error*."""
    return OVERLOADED_STATUS if isinstance(error, Overloaded) else error.status


def error_body(error: ApiError, request_id: str | None = None) -> Json:
    """Return *error* in this API's shape: the body of a response, or the event of a stream."""
    details = {"details": NO_THREADS} if error.param == "thread" else {}
    detail = {"type": _type(error), "message": _message(error), **details}
    named = {"request_id": request_id} if request_id else {}
    return {"type": "error", "error": detail, **named}


def _type(error: ApiError) -> str:
    for kind, name in _TYPES:
        if isinstance(error, kind):
            return name
    if name := _TYPES_BY_STATUS.get(error.status, ""):
        return name
    return "invalid_request_error" if error.status < 500 else "api_error"


def _message(error: ApiError) -> str:
    """Return the message, which says in the API's own words that a prompt is too long."""
    if not isinstance(error, ContextLengthExceeded) or TOO_LONG in error.message:
        return error.message
    return f"{TOO_LONG}: {error.message}"
