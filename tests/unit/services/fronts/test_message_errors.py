"""The errors of the Messages API."""

import pytest

from wrapper import errors
from wrapper.services.fronts.message_errors import error_body, error_status

EXPECTED = {
    errors.ApiError: (500, "api_error"),
    errors.InvalidRequest: (400, "invalid_request_error"),
    errors.ContextLengthExceeded: (400, "invalid_request_error"),
    errors.MalformedRequest: (400, "invalid_request_error"),
    errors.InvalidApiKey: (401, "authentication_error"),
    errors.UpstreamAuthentication: (401, "authentication_error"),
    errors.NotLoggedIn: (401, "authentication_error"),
    errors.PermissionDenied: (403, "permission_error"),
    errors.ModelNotFound: (404, "not_found_error"),
    errors.UnknownUrl: (404, "not_found_error"),
    errors.MethodNotSupported: (405, "invalid_request_error"),
    errors.ClientGone: (408, "invalid_request_error"),
    errors.RequestCut: (408, "invalid_request_error"),
    errors.RequestTooLarge: (413, "request_too_large"),
    errors.UnsupportedMediaType: (415, "invalid_request_error"),
    errors.RateLimited: (429, "rate_limit_error"),
    errors.ChecksBusy: (429, "rate_limit_error"),
    errors.QuotaExceeded: (429, "rate_limit_error"),
    errors.UpstreamFailed: (500, "api_error"),
    errors.BadGateway: (502, "api_error"),
    errors.BadAnswer: (502, "api_error"),
    errors.Overloaded: (529, "overloaded_error"),
    errors.Unavailable: (503, "api_error"),
    errors.ShuttingDown: (503, "api_error"),
    errors.TimedOut: (504, "timeout_error"),
}


@pytest.mark.parametrize(("kind", "expected"), EXPECTED.items(), ids=lambda value: str(value))
def test_statuses_and_types(kind, expected):
    """Every error has the status and the type of Anthropic's API."""
    error = kind("Why.")
    assert (error_status(error), error_body(error)["error"]["type"]) == expected


def test_shape():
    """A response's error names the request, and a stream's need not."""
    error = errors.RateLimited("Slow.")
    detail = {"type": "rate_limit_error", "message": "Slow."}
    assert error_body(error) == {"type": "error", "error": detail}
    assert error_body(error, "req_1") == {"type": "error", "error": detail, "request_id": "req_1"}


def test_threads():
    """A refused thread is told in the words on which libraries go on without one."""
    error = errors.InvalidRequest("thread is not supported.", param="thread")
    assert error_body(error)["error"]["details"]["error_code"] == "thread_unsupported_request"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "The limit is exceeded: prompt is too long: 210000 tokens > 200000 maximum",
            "The limit is exceeded: prompt is too long: 210000 tokens > 200000 maximum",
        ),
        ("The limit is exceeded.", "prompt is too long: The limit is exceeded."),
        ("Exceeded: Prompt is too long", "prompt is too long: Exceeded: Prompt is too long"),
    ],
)
def test_prompt_too_long(message, shown):
    """A prompt that is too long is named in the words by which clients know it."""
    assert error_body(errors.ContextLengthExceeded(message))["error"]["message"] == shown
