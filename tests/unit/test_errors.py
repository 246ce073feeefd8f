"""The errors: their status, type and code, in OpenAI's shape."""

import pytest

from wrapper import errors
from wrapper.errors import ApiError
from wrapper.routes.headers import error_headers

TABLE = [
    (errors.ApiError, 500, "server_error", "internal_error"),
    (errors.InvalidRequest, 400, "invalid_request_error", None),
    (errors.ContextLengthExceeded, 400, "invalid_request_error", "context_length_exceeded"),
    (errors.InvalidApiKey, 401, "invalid_request_error", "invalid_api_key"),
    (errors.UpstreamAuthentication, 401, "authentication_error", "upstream_authentication_error"),
    (errors.NotLoggedIn, 401, "authentication_error", "upstream_authentication_error"),
    (errors.PermissionDenied, 403, "permission_error", "permission_denied"),
    (errors.ModelNotFound, 404, "invalid_request_error", "model_not_found"),
    (errors.SessionNotFound, 404, "invalid_request_error", "session_not_found"),
    (errors.ResponseNotFound, 404, "invalid_request_error", "response_not_found"),
    (errors.ItemNotFound, 404, "invalid_request_error", "item_not_found"),
    (errors.ApprovalNotFound, 404, "invalid_request_error", "approval_not_found"),
    (errors.ApprovalDecidedBefore, 409, "invalid_request_error", "approval_decided"),
    (errors.StoredFileNotFound, 404, "invalid_request_error", "file_not_found"),
    (errors.BatchEnded, 409, "invalid_request_error", "batch_ended"),
    (errors.BatchNotFound, 404, "invalid_request_error", "batch_not_found"),
    (errors.KeyNotFound, 404, "invalid_request_error", "key_not_found"),
    (errors.UnknownUrl, 404, "invalid_request_error", "unknown_url"),
    (errors.MethodNotSupported, 405, "invalid_request_error", "method_not_supported"),
    (errors.ClientGone, 408, "timeout", "client_gone"),
    (errors.MalformedRequest, 400, "invalid_request_error", "malformed_request"),
    (errors.RequestCut, 408, "invalid_request_error", "request_cut"),
    (errors.SchemaTooCostly, 400, "invalid_request_error", "schema_too_costly"),
    (errors.Conflict, 409, "invalid_request_error", "session_busy"),
    (errors.RequestTooLarge, 413, "invalid_request_error", "request_too_large"),
    (errors.UnsupportedMediaType, 415, "invalid_request_error", "unsupported_media_type"),
    (errors.RangeNotSatisfiable, 416, "invalid_request_error", "range_not_satisfiable"),
    (errors.WebSocketNotSupported, 426, "invalid_request_error", "websocket_not_supported"),
    (errors.RateLimited, 429, "rate_limit_error", "rate_limit_exceeded"),
    (errors.ChecksBusy, 429, "rate_limit_error", "checks_busy"),
    (errors.QuotaExceeded, 429, "insufficient_quota", "insufficient_quota"),
    (errors.UpstreamFailed, 500, "server_error", None),
    (errors.BadGateway, 502, "server_error", "bad_gateway"),
    (errors.McpServerFailed, 502, "server_error", "mcp_server_failed"),
    (errors.BadAnswer, 502, "server_error", "invalid_model_answer"),
    (errors.Overloaded, 503, "overloaded_error", "overloaded"),
    (errors.Unavailable, 503, "server_error", "unavailable"),
    (errors.ShuttingDown, 503, "server_error", "unavailable"),
    (errors.TurnStopped, 503, "server_error", "turn_stopped"),
    (errors.TimedOut, 504, "timeout_error", "timeout"),
    (errors.StorageFull, 507, "server_error", "storage_full"),
]


@pytest.mark.parametrize(("kind", "status", "type_", "code"), TABLE)
def test_table(kind, status, type_, code):
    """Each error has its status, and a body with four keys."""
    error = kind("Why.")
    assert error.status == status
    assert error.body() == {
        "error": {"message": "Why.", "type": type_, "param": None, "code": code}
    }
    assert error_headers(error) == {}


def test_table_is_complete():
    """The table above has every error."""
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ApiError)
    }
    assert kinds == {row[0] for row in TABLE}


def test_param_and_code():
    """An error can name the input at fault, and have a code of its own."""
    error = errors.InvalidRequest("Why.", param="messages.0.role", code="invalid_value").body()
    assert (error["error"]["param"], error["error"]["code"]) == ("messages.0.role", "invalid_value")


def test_code_of_one_error_only():
    """A code for one error does not change the next one's."""
    errors.InvalidRequest("Why.", code="invalid_value")
    assert errors.InvalidRequest("Why.").body()["error"]["code"] is None


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ({"retry_after": 7}, {"Retry-After": "7"}),
        ({"retry_after": 0}, {"Retry-After": "0"}),
        ({"retry": False}, {"x-should-retry": "false"}),
        ({"retry": True}, {"x-should-retry": "true"}),
        ({"headers": {"Allow": "POST"}}, {"Allow": "POST"}),
        (
            {"headers": {"Allow": "POST"}, "retry": False, "retry_after": 2},
            {"Allow": "POST", "x-should-retry": "false", "Retry-After": "2"},
        ),
    ],
)
def test_headers(given, headers):
    """The headers tell a client's library what to do next."""
    assert error_headers(ApiError("Why.", **given)) == headers


def test_message_in_logs():
    """A log shows the message as the exception's text."""
    assert str(ApiError("Why.")) == "Why."


def test_replace():
    """A copy has the change, and the error itself does not; both are of one kind."""
    error = errors.Overloaded("Busy.", retry_after=2)
    changed = error.replace(retry=False, message="Very busy.")
    assert (type(changed), changed.retry, changed.retry_after) == (errors.Overloaded, False, 2)
    assert (changed.message, str(changed)) == ("Very busy.", "Very busy.")
    assert (error.retry, str(error)) == (None, "Busy.")


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (errors.BadGateway("Claude Code ended."), "Claude Code ended."),
        (errors.BadGateway("It said: hush.", quote="hush"), "It said: <4 characters>."),
        (errors.BadGateway("It said: ", quote=""), "It said: "),
        (errors.BadGateway("It said.", quote="hush"), "<8 characters>"),
        (errors.Unavailable("None.", details="/bin/claude is none."), "/bin/claude is none."),
        (errors.InvalidRequest("hush"), "<4 characters>"),
        (errors.InvalidRequest("It said: hush", quote="hush"), "It said: <4 characters>"),
        (errors.BadAnswer("hush"), "<4 characters>"),
        (errors.ApiError("hush"), "<4 characters>"),
    ],
)
def test_redacted(error, logged):
    """The log's message has no words that a caller or a model may have written."""
    assert error.redacted() == logged
