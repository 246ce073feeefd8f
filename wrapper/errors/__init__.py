"""The errors, each with its status, type and code in OpenAI's terms."""

from __future__ import annotations

from wrapper.errors.api_error import ApiError as ApiError


class InvalidRequest(ApiError):
    """Raised when the request is invalid, or asks for something that does not exist."""

    status, type = 400, "invalid_request_error"
    code: str | None = None


class ContextLengthExceeded(InvalidRequest):
    """Raised when the conversation is longer than the model's context window."""

    code = "context_length_exceeded"


class SchemaTooCostly(InvalidRequest):
    """Raised when checking an answer against its schema exceeds the limits."""

    code = "schema_too_costly"


class InvalidApiKey(InvalidRequest):
    """Raised when the caller's key is missing or wrong."""

    status, code = 401, "invalid_api_key"


class UpstreamAuthentication(ApiError):
    """Raised when the gateway's own login at the model's provider is missing or refused."""

    status, type, code = 401, "authentication_error", "upstream_authentication_error"
    quotes = False


class NotLoggedIn(UpstreamAuthentication):
    """Raised when the gateway has no login at the model's provider, so that none was refused."""


class PermissionDenied(ApiError):
    """Raised when the caller, or the gateway at its provider, lacks the permission."""

    status, type, code = 403, "permission_error", "permission_denied"


class ModelNotFound(InvalidRequest):
    """Raised when the provider does not know the model."""

    status, code = 404, "model_not_found"


class SessionNotFound(InvalidRequest):
    """Raised when the caller has no session with this id."""

    status, code = 404, "session_not_found"


class ResponseNotFound(InvalidRequest):
    """Raised when the caller has no stored response with this id."""

    status, code = 404, "response_not_found"


class ItemNotFound(InvalidRequest):
    """Raised when the caller has no stored item with this id."""

    status, code = 404, "item_not_found"


class ApprovalNotFound(InvalidRequest):
    """Raised when the caller has no approval of this id."""

    status, code = 404, "approval_not_found"


class StoredFileNotFound(InvalidRequest):
    """Raised when the caller has no uploaded file with this id."""

    status, code = 404, "file_not_found"


class BatchNotFound(InvalidRequest):
    """Raised when the caller has no batch with this id."""

    status, code = 404, "batch_not_found"


class KeyNotFound(InvalidRequest):
    """Raised when the keys file has no key of this name."""

    status, code = 404, "key_not_found"


class UnknownUrl(InvalidRequest):
    """Raised for a path that the gateway does not serve."""

    status, code = 404, "unknown_url"


class MethodNotSupported(InvalidRequest):
    """Raised for a method that the path does not support."""

    status, code = 405, "method_not_supported"


class WebSocketNotSupported(InvalidRequest):
    """Raised where a client wants to speak the Responses API over a WebSocket."""

    status, code = 426, "websocket_not_supported"


class ClientGone(ApiError):
    """Raised when the client has left before its answer was complete."""

    status, type, code = 408, "timeout", "client_gone"
    quotes = False


class MalformedRequest(InvalidRequest):
    """Raised when a request is not valid HTTP. The server may set a more precise status."""

    code = "malformed_request"


class RequestCut(InvalidRequest):
    """Raised when a body ends early, or arrives too slowly."""

    status, code = 408, "request_cut"


class Conflict(InvalidRequest):
    """Raised when a session cannot run the turn: another one runs, or the session is gone."""

    status, code = 409, "session_busy"


class ApprovalDecidedBefore(InvalidRequest):
    """Raised when an approval is decided a second time."""

    status, code = 409, "approval_decided"


class BatchEnded(InvalidRequest):
    """Raised when a batch is to be cancelled that has ended otherwise."""

    status, code = 409, "batch_ended"


class RequestTooLarge(InvalidRequest):
    """Raised when a body exceeds the limit."""

    status, code = 413, "request_too_large"


class RangeNotSatisfiable(InvalidRequest):
    """Raised when a content has no such part as the request asks for."""

    status, code = 416, "range_not_satisfiable"


class UnsupportedMediaType(InvalidRequest):
    """Raised when a body's content type is not JSON."""

    status, code = 415, "unsupported_media_type"


class RateLimited(ApiError):
    """Raised when the provider's rate limit, or the gateway's own capacity, is used up."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"
    quotes = False


class ChecksBusy(RateLimited):
    """Raised when too many costly checks of schemas and images are running."""

    code = "checks_busy"


class QuotaExceeded(ApiError):
    """Raised when the caller's budget is used up. Retrying at once does not help."""

    status, type, code = 429, "insufficient_quota", "insufficient_quota"
    quotes = False


class UpstreamFailed(ApiError):
    """Raised when the model's provider fails."""

    code = None
    quotes = False


class BadGateway(ApiError):
    """Raised when Claude Code is missing, dies, or sends something unexpected."""

    status, code = 502, "bad_gateway"
    quotes = False


class McpServerFailed(BadGateway):
    """Raised when an MCP server of the request cannot be used; the message names it."""

    code = "mcp_server_failed"


class BadAnswer(ApiError):
    """Raised when the model's answer does not meet the request's demands."""

    status, code = 502, "invalid_model_answer"


class Overloaded(ApiError):
    """Raised when the provider is overloaded."""

    status, type, code = 503, "overloaded_error", "overloaded"
    quotes = False


class Unavailable(ApiError):
    """Raised when no Claude Code process is available, or the gateway is shutting down."""

    status, code = 503, "unavailable"
    quotes = False


class ShuttingDown(Unavailable):
    """Raised when the gateway is shutting down and has not begun the turn."""


class TurnStopped(Unavailable):
    """Raised when a person stops a turn that runs or waits."""

    code = "turn_stopped"


class TimedOut(ApiError):
    """Raised when a turn exceeds its time limit."""

    status, type, code = 504, "timeout_error", "timeout"
    quotes = False


class StorageFull(ApiError):
    """Raised when the gateway's disk or its Redis has no room for a file."""

    status, code = 507, "storage_full"
    quotes = False
