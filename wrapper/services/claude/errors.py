"""The failures of a process, each by what follows from it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from wrapper.errors import (
    ApiError,
    BadGateway,
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
    UpstreamAuthentication,
    UpstreamFailed,
)


class BootFailed(Exception):
    """Raised when a process did not come up; the message says why."""


class Refused(BootFailed):
    """Raised when a process came up, but must not serve; the message holds the mend."""


class DiedEarly(BadGateway):
    """Raised when a process ended before it was asked anything, so that another may be asked."""


RETRY_SECONDS = 5
# Whoever has to wait for longer waits at the client, which is told so: there it takes no turn's
# place, and as long as a stream is held back the error is a status.
LONGEST_WAIT = 10.0
# Claude Code does not wait for longer than this, where the API asks it to; it says no number then.
LONG_RETRY_SECONDS = 60
REASON_CHARACTERS = 2000
Raw = dict[str, Any]

_PREFIX = re.compile(
    r"^(Failed to authenticate\. )?API Error: (Request rejected )?(\(?\d{3}\)?[ ·]+)?"
)
# What Claude Code adds for its own user, with the address that it asks.
_ADVICE = re.compile(r"\.? This is a server-side issue, .*", re.DOTALL)
_PARAMETERS = ("temperature", "top_p", "stop_sequences", "max_tokens", "reasoning_effort")

LOGIN = (
    "The gateway's own login at Anthropic is missing or was refused; this is not about your key. "
    "Its operator must set ANTHROPIC_API_KEY, or log Claude Code in."
)


# What a status of the model's API means; each gets the reason that the API gave.
STATUSES: dict[int, Callable[[str], ApiError]] = {
    400: lambda reason: InvalidRequest(
        f"The model's API refused the request: {reason}", param=_param(reason)
    ),
    401: lambda reason: UpstreamAuthentication(LOGIN),
    403: lambda reason: PermissionDenied(
        f"The gateway's login may not do this at its provider: {reason}"
    ),
    404: lambda reason: ModelNotFound(
        "The model does not exist, or the gateway's login may not use it.", param="model"
    ),
    413: lambda reason: RequestTooLarge("The request is larger than the model's API takes."),
    500: lambda reason: UpstreamFailed(f"The model's API failed: {reason}"),
    429: lambda reason: RateLimited(
        f"The model's API limits the rate: {reason}", retry_after=RETRY_SECONDS
    ),
    529: lambda reason: Overloaded(
        f"The model's API is overloaded: {reason}", retry_after=RETRY_SECONDS
    ),
}
# What the API calls its errors. In mid-stream they come without a status.
TYPES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
LONG_WAIT = "It asks for a wait of more than a minute; for how long Claude Code does not say."
BROKEN_OFF = (
    "The model's API broke its answer off: it is overloaded, has failed, or the connection was "
    "lost. Claude Code does not say which."
)


def fault_of(result: Raw, notice: str, *, gave_up: bool = False) -> ApiError:
    """Return the error that a failed turn's raw *result* means.

    *notice* is what the CLI said in the model's place, where it ended for another reason too.
    *gave_up* says that it was to ask again before the model had begun, and has not.
    """
    error = _fault_of(result, notice)
    if gave_up and error.retry_after:
        error.retry_after = LONG_RETRY_SECONDS
        error.message = f"{error.message.removesuffix('.')}. {LONG_WAIT}"
    return error


def tells_why(result: Raw, notice: str) -> bool:
    """Say whether *result* or *notice* holds a reason of the API's; a spent budget is none."""
    known = ("result", "api_error_status", "api_error_type")
    return bool(notice or any(result.get(name) for name in known))


def fault_of_waiting(delay: Raw) -> ApiError | None:
    """Return the error for a turn whose CLI says that it waits, None where it is worth waiting."""
    seconds = math.ceil(delay["retry_delay_ms"] / 1000)
    status = delay.get("error_status")
    if seconds <= LONGEST_WAIT or not isinstance(status, int):
        return None
    error = _fault_of({"api_error_status": status}, f"it asks for a wait of {seconds} s")
    error.retry_after = seconds
    return error


def _fault_of(result: Raw, notice: str) -> ApiError:
    text = str(result.get("result") or notice) or "; ".join(map(str, result.get("errors") or ()))
    reason = _ADVICE.sub("", _PREFIX.sub("", text))[:REASON_CHARACTERS]
    status = result.get("api_error_status") or TYPES.get(str(result.get("api_error_type")))
    if "Not logged in" in text:
        return UpstreamAuthentication(LOGIN)
    if result.get("terminal_reason") == "prompt_too_long" or "prompt is too long" in text.lower():
        return ContextLengthExceeded(
            f"This model's maximum context length is exceeded: {reason}", param="messages"
        )
    if status in STATUSES:
        return STATUSES[status](reason)
    if isinstance(status, int):
        told = f": {reason}" if reason else "."
        return UpstreamFailed(f"The model's API failed with status {status}{told}")
    if not text:
        return BadGateway("Claude Code ended the turn without an answer and without a reason.")
    return BadGateway(f"Claude Code could not finish the answer: {reason}")


def _param(reason: str) -> str | None:
    return next((name for name in _PARAMETERS if name in reason), None)
