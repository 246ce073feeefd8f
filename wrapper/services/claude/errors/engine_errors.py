"""Errors of Claude Code's processes, and the ApiError that each of its results means."""

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
    NotLoggedIn,
    Overloaded,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
    UpstreamAuthentication,
    UpstreamFailed,
)
from wrapper.services.claude.errors.setup_errors import setup_error


class BootFailed(Exception):
    """Raised when a process could not boot.

    `reason` says why, and anyone may see it. The message adds *details* for the operator, such as
    a path.
    """

    def __init__(self, reason: str, details: str = ""):
        super().__init__(f"{reason} {details}".strip())
        self.reason = reason
        self.details = details


class Refused(BootFailed):
    """Raised when a process booted, but must not serve; the message says what to do."""


class DiedEarly(BadGateway):
    """Raised when a process ended before it was asked anything, so another one may be."""


RETRY_SECONDS = 5
# A longer wait becomes an error, so that the client waits, which blocks no other turn. While no
# stream has begun, the error can still be a status.
LONGEST_WAIT = 10.0
# If the API asks for a longer wait than this, Claude Code gives up and does not say how long.
LONG_RETRY_SECONDS = 60
MAX_REASON_CHARACTERS = 2000
Raw = dict[str, Any]

_THINKING_REFUSED = re.compile(
    r"signature in thinking block|data in redacted_thinking block|thinking\.signature: Field"
    r"|thinking blocks in the latest assistant message cannot be modified"
)

_PREFIX = re.compile(
    r"^(Failed to authenticate\. )?API Error: (Request rejected )?(\(?\d{3}\)?[ ·]+)?"
)
# What Claude Code adds for its own user, with the URL of the API.
_ADVICE = re.compile(r"\.? This is a server-side issue, .*", re.DOTALL)
_PARAMETERS = ("temperature", "top_p", "stop_sequences", "max_tokens", "reasoning_effort")

HOW_TO_LOG_IN = (
    "log in with `claude /login`, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN (made by "
    "`claude setup-token`)"
)
DOCTOR = "`claude-code-gateway doctor` checks it"
NOT_LOGGED_IN = (
    "The gateway has no login of its own at the model's provider; this is not about your key. Its "
    f"operator must {HOW_TO_LOG_IN}; {DOCTOR}."
)
LOGIN_REFUSED = (
    "The model's provider refused the gateway's own login; this is not about your key. Its "
    "operator must replace ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN (made by `claude "
    f"setup-token`), or log in again with `claude /login`; {DOCTOR}."
)
# Claude Code's own words, which it writes for somebody at a terminal.
_MISSING = "Not logged in"
_REFUSED = "Please run /login"
_DISABLED = "disabled organization"


# The error for each status of the model's API, made from the API's reason.
STATUSES: dict[int, Callable[[str], ApiError]] = {
    400: lambda reason: InvalidRequest(
        f"The model's API refused the request: {reason}", param=_param(reason), quote=reason
    ),
    401: lambda reason: UpstreamAuthentication(
        LOGIN_REFUSED, details=f"The model's provider refused the gateway's own login: {reason}"
    ),
    403: lambda reason: PermissionDenied(
        f"The gateway's login may not do this at its provider: {reason}", quote=reason
    ),
    404: lambda reason: ModelNotFound(
        "The model does not exist, or the gateway's login may not use it.", param="model"
    ),
    413: lambda reason: RequestTooLarge("The request is larger than the model's API takes."),
    500: lambda reason: UpstreamFailed(f"The model's API failed: {reason}", quote=reason),
    429: lambda reason: RateLimited(
        f"The model's API limits the rate: {reason}", retry_after=RETRY_SECONDS, quote=reason
    ),
    529: lambda reason: Overloaded(
        f"The model's API is overloaded: {reason}", retry_after=RETRY_SECONDS, quote=reason
    ),
}
# The statuses of the API's error types, since errors in mid-stream have no status.
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
LONG_WAIT = "It asks for a wait of more than a minute; Claude Code does not say how long."
BROKEN_OFF = (
    "The model's API broke off its answer: it is overloaded, has failed, or the connection was "
    "lost. Claude Code does not say which."
)


def error_of(result: Raw, notice: str, *, gave_up: bool = False) -> ApiError:
    """Return the error that a failed turn's raw *result* means.

    *notice* is the text of the CLI's own message, which has the API's reason where the turn ended
    for yet another one. *gave_up* says that the CLI did not retry, although it should have.
    """
    error = _make_error(result, notice)
    if gave_up and error.retry_after:
        message = f"{error.message.removesuffix('.')}. {LONG_WAIT}"
        return error.replace(retry_after=LONG_RETRY_SECONDS, message=message)
    return error


def refuses_thinking(error: ApiError) -> bool:
    """Say whether the API refused a thinking block of the history."""
    return _THINKING_REFUSED.search(error.message.replace("`", "")) is not None


def tells_why(result: Raw, notice: str) -> bool:
    """Say whether *result* or *notice* has a reason from the API; a spent budget is not one."""
    fields = ("result", "api_error_status", "api_error_type")
    return bool(notice or any(result.get(name) for name in fields))


def error_of_retry(delay: Raw, longest: float = LONGEST_WAIT) -> ApiError | None:
    """Return the error for a turn whose CLI waits before a retry, None if the wait is short.

    *delay* is the CLI's raw api_retry message, and *longest* a short wait's most seconds.
    """
    seconds = math.ceil(delay["retry_delay_ms"] / 1000)
    status = delay.get("error_status")
    if seconds <= longest or not isinstance(status, int):
        return None
    error = _make_error({"api_error_status": status}, f"it asks for a wait of {seconds} s")
    return error.replace(retry_after=seconds)


def _make_error(result: Raw, notice: str) -> ApiError:
    text = str(result.get("result") or notice) or "; ".join(map(str, result.get("errors") or ()))
    reason = _ADVICE.sub("", _PREFIX.sub("", text))[:MAX_REASON_CHARACTERS]
    status = result.get("api_error_status") or TYPES.get(str(result.get("api_error_type")))
    if _MISSING in text:
        return NotLoggedIn(NOT_LOGGED_IN)
    if _REFUSED in text or _DISABLED in text.lower():
        return STATUSES[401](reason)
    if result.get("terminal_reason") == "prompt_too_long" or "prompt is too long" in text.lower():
        return ContextLengthExceeded(
            f"This model's maximum context length is exceeded: {reason}",
            param="messages",
            quote=reason,
        )
    if error := setup_error(text, status, result.get("api_error_type")):
        return error
    if status in STATUSES:
        return STATUSES[status](reason)
    if isinstance(status, int):
        details = f": {reason}" if reason else "."
        return UpstreamFailed(f"The model's API failed with status {status}{details}", quote=reason)
    if not text:
        return BadGateway("Claude Code ended the turn without an answer and without a reason.")
    return BadGateway(f"Claude Code could not finish the answer: {reason}", quote=reason)


def _param(reason: str) -> str | None:
    return next((name for name in _PARAMETERS if name in reason), None)
