"""The errors: what can go wrong, each with its status, type and code in OpenAI's terms."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error that a client may see.

    *param* is the input at fault, as a path (`messages.0.role`). *retry_after* is in seconds.
    *retry* tells the client's library whether to try again by itself; None leaves it to the status.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        retry: bool | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.retry_after = retry_after
        self.retry = retry
        self.extra_headers = headers or {}
        self.recorded = False  # whether the log has it already

    def body(self) -> dict[str, Any]:
        """Return the error in OpenAI's shape, all four keys present."""
        error = {"message": self.message, "type": self.type}
        return {"error": {**error, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        headers = dict(self.extra_headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.retry is not None:
            headers["x-should-retry"] = str(self.retry).lower()
        return headers


class InvalidRequest(ApiError):
    """Raised when the request cannot be understood, or asks for what does not exist."""

    status, type = 400, "invalid_request_error"
    code: str | None = None


class ContextLengthExceeded(InvalidRequest):
    """Raised when the conversation is longer than the model's context window."""

    code = "context_length_exceeded"


class SchemaTooCostly(InvalidRequest):
    """Raised when an answer cannot be checked against its schema within the limits."""

    code = "schema_too_costly"


class InvalidApiKey(InvalidRequest):
    """Raised when the caller's key is missing or wrong."""

    status, code = 401, "invalid_api_key"


class UpstreamAuthentication(ApiError):
    """Raised when the gateway's own login at the model's provider is missing or refused."""

    status, type, code = 401, "authentication_error", "upstream_authentication_error"


class PermissionDenied(ApiError):
    """Raised when the caller, or the gateway at its provider, may not do this."""

    status, type, code = 403, "permission_error", "permission_denied"


class ModelNotFound(InvalidRequest):
    """Raised when the provider does not know the model."""

    status, code = 404, "model_not_found"


class SessionNotFound(InvalidRequest):
    """Raised when the caller has no session of this id."""

    status, code = 404, "session_not_found"


class UnknownUrl(InvalidRequest):
    """Raised for a path that the gateway does not serve."""

    status, code = 404, "unknown_url"


class MethodNotSupported(InvalidRequest):
    """Raised for a method that the path does not take."""

    status, code = 405, "method_not_supported"


class ClientGone(ApiError):
    """Raised when the client has left before its answer was whole."""

    status, type, code = 408, "timeout", "client_gone"


class MalformedRequest(InvalidRequest):
    """Raised when a request is not valid HTTP; the server may choose a closer status."""

    code = "malformed_request"


class RequestCut(InvalidRequest):
    """Raised when a body has broken off, or came too slowly."""

    status, code = 408, "request_cut"


class Conflict(InvalidRequest):
    """Raised when a session cannot take the turn: it has another one, or is not there any more."""

    status, code = 409, "session_busy"


class RequestTooLarge(InvalidRequest):
    """Raised when a body is over the limit."""

    status, code = 413, "request_too_large"


class UnsupportedMediaType(InvalidRequest):
    """Raised when a body is not sent as JSON."""

    status, code = 415, "unsupported_media_type"


class RateLimited(ApiError):
    """Raised when the provider's rate limit, or the gateway's own capacity, is used up."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class ChecksBusy(RateLimited):
    """Raised when too many costly checks of schemas and images are running."""

    code = "checks_busy"


class QuotaExceeded(ApiError):
    """Raised when the caller's budget is used up; trying again at once cannot help."""

    status, type, code = 429, "insufficient_quota", "insufficient_quota"


class UpstreamFailed(ApiError):
    """Raised when the model's provider fails."""

    code = None


class BadGateway(ApiError):
    """Raised when Claude Code is missing, dies, or says what cannot be understood."""

    status, code = 502, "bad_gateway"


class BadAnswer(ApiError):
    """Raised when the model's answer is not what it was asked to be."""

    status, code = 502, "invalid_model_answer"


class Overloaded(ApiError):
    """Raised when the provider is overloaded."""

    status, type, code = 503, "overloaded_error", "overloaded"


class Unavailable(ApiError):
    """Raised when no Claude Code process can be had, or the gateway is shutting down."""

    status, code = 503, "unavailable"


class ShuttingDown(Unavailable):
    """Raised when the gateway is shutting down, and has not begun the turn."""


class TimedOut(ApiError):
    """Raised when a turn has run past its time limit."""

    status, type, code = 504, "timeout_error", "timeout"
