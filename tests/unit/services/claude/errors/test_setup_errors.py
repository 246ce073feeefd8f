"""The errors for faults of the gateway's own setup, by the words of Claude Code."""

from __future__ import annotations

import pytest

from wrapper.services.claude.errors.engine_errors import error_of
from wrapper.services.claude.errors.setup_errors import (
    NO_CREDIT,
    NO_MESSAGES,
    NO_SUCH_PATH,
    UNEXPECTED_STATUS,
    SetupError,
)

REFUSED = "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)"
UNKNOWN_MODEL = "There's an issue with the selected model (x). It may not exist or …"


def failed(text, status=None, kind=None):
    result = {"is_error": True, "result": text, "api_error_status": status}
    return error_of({**result, "api_error_type": kind} if kind else result, "")


@pytest.mark.parametrize(
    ("text", "status", "kind", "gets", "message"),
    [
        ("Credit balance is too low", 400, "invalid_request_error", 400, NO_CREDIT),
        ("API Error: 402 Your card was declined.", 402, "billing_error", 400, NO_CREDIT),
        (UNKNOWN_MODEL, 404, None, 404, NO_SUCH_PATH),
        ("API Error: 405 Welcome", 405, None, 500, UNEXPECTED_STATUS.format(status=405)),
        ("API Error: 301 (no body)", 301, None, 500, UNEXPECTED_STATUS.format(status=301)),
        ("API Error: Stream ended without receiving any events", None, None, 502, NO_MESSAGES),
    ],
)
def test_faults(text, status, kind, gets, message):
    """Each fault has a message that says what the operator must do, and the status it had."""
    error = failed(text, status, kind)
    assert isinstance(error, SetupError)
    assert (error.status, error.message) == (gets, message)
    assert "operator must" in error.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (REFUSED, "nothing listens there, or a firewall refuses (ECONNREFUSED)"),
        (
            "API Error: Can't reach the API server — check your internet or DNS (ENOTFOUND)",
            "its host name has no address (ENOTFOUND)",
        ),
        (
            "API Error: Unable to connect to API (EPROTO)",
            "the server there speaks no TLS; the URL may need http:// (EPROTO)",
        ),
        (
            "API Error: Unable to connect to API (DEPTH_ZERO_SELF_SIGNED_CERT)",
            "DEPTH_ZERO_SELF_SIGNED_CERT",
        ),
    ],
)
def test_unreachable(text, reason):
    """Where the API cannot be reached, the message says why and what to check."""
    error = failed(text)
    assert (error.status, error.code) == (502, "bad_gateway")
    assert error.message == (
        f"The model's API cannot be reached: {reason}. The gateway's operator must check "
        "ANTHROPIC_BASE_URL, the proxies (HTTPS_PROXY), and the network."
    )


@pytest.mark.parametrize(
    ("text", "status", "kind"),
    [
        (UNKNOWN_MODEL, 404, "not_found_error"),
        ("API Error: 400 `temperature` is deprecated.", 400, "invalid_request_error"),
        ("API Error: 529 Overloaded", 529, "overloaded_error"),
        ("API Error: 502 Welcome", 502, None),
        ("It could not finish (SORRY)", None, None),
    ],
)
def test_other_errors(text, status, kind):
    """Errors of a request, of the model's API and of Claude Code are no faults of the setup."""
    assert not isinstance(failed(text, status, kind), SetupError)
