"""The error that a client gets for each result of a failed turn."""

import pytest

from wrapper import errors
from wrapper.routes.headers import error_headers
from wrapper.services.claude.errors.engine_errors import error_of, error_of_retry, refuses_thinking


def result(status=None, text="", **more):
    return {"is_error": True, "api_error_status": status, "result": text, **more}


@pytest.mark.parametrize(
    ("status", "kind", "retry_after"),
    [
        (400, errors.InvalidRequest, None),
        (401, errors.UpstreamAuthentication, None),
        (403, errors.PermissionDenied, None),
        (404, errors.ModelNotFound, None),
        (413, errors.RequestTooLarge, None),
        (429, errors.RateLimited, "5"),
        (500, errors.UpstreamFailed, None),
        (503, errors.UpstreamFailed, None),
        (529, errors.Overloaded, "5"),
        (None, errors.BadGateway, None),
    ],
)
def test_statuses(status, kind, retry_after):
    """Each status of the model's API becomes one of the gateway's errors."""
    text = f"API Error: {status} it said so"
    error = error_of(result(status, text, api_error_type="some_error"), "")
    assert type(error) is kind
    assert error_headers(error).get("Retry-After") == retry_after


@pytest.mark.parametrize(
    "text",
    [
        "API Error: 400 it said so",
        "API Error: Request rejected (400) · it said so",
        "API Error: 400 · it said so",
        "API Error: it said so",
        "it said so",
    ],
)
def test_reason(text):
    """The API's reason is passed on without the CLI's prefix."""
    error = error_of(result(400, text), "")
    assert error.message.endswith("refused the request: it said so")


def test_parameter():
    """The error names the parameter that the API names."""
    reason = "API Error: 400 `temperature` is deprecated for this model."
    assert error_of(result(400, reason), "").param == "temperature"
    assert error_of(result(400, "API Error: 400 something else"), "").param is None


def test_unknown_model():
    """The error for an unknown model is OpenAI's."""
    error = error_of(result(404, "API Error: 404 model: nonesuch"), "")
    assert error.body()["error"]["code"] == "model_not_found"
    assert error.param == "model"


@pytest.mark.parametrize("status", [None, 400])
def test_not_logged_in(status):
    """Without a login the error says that it is the gateway's, and how its operator logs in."""
    error = error_of(result(status, "Not logged in · Please run /login"), "")
    assert isinstance(error, errors.NotLoggedIn)
    assert (error.status, error.code) == (401, "upstream_authentication_error")
    assert "gateway has no login of its own" in error.message
    for remedy in ("`claude /login`", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "doctor"):
        assert remedy in error.message


@pytest.mark.parametrize(
    "failed",
    [
        result(401, "Failed to authenticate. API Error: 401 invalid x-api-key"),
        result(403, "OAuth token revoked · Please run /login"),
        result(None, "Login expired · Please run /login"),
        result(400, "Your ANTHROPIC_API_KEY belongs to a disabled organization · Update it"),
    ],
)
def test_refused_login(failed):
    """A refused login is another error, and only its details have the provider's words."""
    error = error_of(failed, "")
    assert (error.status, error.code) == (401, "upstream_authentication_error")
    assert not isinstance(error, errors.NotLoggedIn)
    assert "refused the gateway's own login" in error.message
    for remedy in ("`claude /login`", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "doctor"):
        assert remedy in error.message
    for words in ("invalid x-api-key", "revoked", "expired"):
        assert words not in error.message
    assert error.details


@pytest.mark.parametrize(
    "failed",
    [
        result(400, "API Error: 400 prompt is too long: 250000 tokens > 200000 maximum"),
        result(None, "Prompt is too long"),
        result(None, "", terminal_reason="prompt_too_long"),
    ],
)
def test_context_length(failed):
    """The error for a conversation that is too long has the words that clients match on."""
    error = error_of(failed, "")
    assert (error.status, error.code) == (400, "context_length_exceeded")
    assert error.message.startswith("This model's maximum context length is")
    assert error.param == "messages"


def test_notice():
    """If the result has no text, the CLI's own message is the reason."""
    assert error_of({}, "Prompt is too long").code == "context_length_exceeded"
    assert error_of(result(429), "API Error: 429 slow down").message.endswith(": slow down")


def test_result_goes_before_notice():
    """The result's text goes before an earlier message of the CLI's."""
    assert error_of(result(None, "the reason"), "a notice").message.endswith(": the reason")


def test_no_reason():
    """The error says so if a turn ended without a reason."""
    error = error_of({}, "")
    assert (error.status, error.code) == (502, "bad_gateway")
    assert "without a reason" in error.message


def test_fresh_errors():
    """Each failed turn has an error of its own."""
    assert error_of(result(529), "") is not error_of(result(529), "")


def waiting(milliseconds, status):
    return {"retry_delay_ms": milliseconds, "error_status": status, "attempt": 1}


@pytest.mark.parametrize("status", [429, 500, 529])
def test_short_waits(status):
    """Claude Code may wait for a short time and retry."""
    assert error_of_retry(waiting(10_000, status)) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, errors.RateLimited), (529, errors.Overloaded), (503, errors.ApiError)],
)
def test_long_waits(status, kind):
    """A long wait becomes an error with its reason and its length."""
    error = error_of_retry(waiting(23_226, status))
    assert isinstance(error, kind)
    assert error_headers(error)["Retry-After"] == "24"


def test_waits_for_a_connection():
    """If the API cannot be reached there is no status, and no error yet."""
    assert error_of_retry(waiting(30_000, None)) is None


def test_gave_up():
    """If Claude Code does not retry as it should, the API asks for more than a minute."""
    assert error_headers(error_of(result(429), "", gave_up=True))["Retry-After"] == "60"
    assert "Retry-After" not in error_headers(error_of(result(400), "", gave_up=True))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", errors.Overloaded),
        ("rate_limit_error", errors.RateLimited),
        ("api_error", errors.UpstreamFailed),
        ("invalid_request_error", errors.InvalidRequest),
        ("no_such_error", errors.BadGateway),
    ],
)
def test_types(kind, expected):
    """An error in mid-stream, which has no status, is recognised by its type."""
    error = error_of(result(None, "API Error: it said so", api_error_type=kind), "")
    assert type(error) is expected
    assert error.message.endswith(": it said so")


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503, 529])
def test_reasons(status):
    """The API's reason is passed on with every status."""
    assert error_of(result(status, f"API Error: {status} it said so"), "").message.endswith(
        ": it said so"
    )


def test_errors_of_the_cli():
    """If the result has no text, the CLI's list of errors is the reason."""
    error = error_of({"errors": ["a hook failed", "and another"]}, "")
    assert error.message.endswith(": a hook failed; and another")


def test_a_wait_of_unknown_length():
    """The error says that the length of the wait is not known."""
    assert "more than a minute" in error_of(result(429), "", gave_up=True).message


@pytest.mark.parametrize(
    ("reason", "refuses"),
    [
        ("messages.1.content.0: Invalid `signature` in `thinking` block", True),
        ("messages.1.content.0: Invalid signature in thinking block. It is bound", True),
        ("messages.3.content.1: Invalid `data` in `redacted_thinking` block", True),
        ("messages.1.content.0.thinking.signature: Field required", True),
        (
            "messages.9.content.15: `thinking` or `redacted_thinking` blocks in the latest "
            "assistant message cannot be modified.",
            True,
        ),
        ("`temperature` may only be set to 1 when thinking is enabled", False),
    ],
)
def test_refused_thinking(reason, refuses):
    """A refusal of a thinking block is known by the API's words."""
    error = error_of(result(400, f"API Error: 400 {reason}"), "")
    assert refuses_thinking(error) == refuses
