"""Recognise a fault of the gateway's own setup in what Claude Code says of a failed turn."""

from __future__ import annotations

import re

from wrapper.errors import ApiError, BadGateway, InvalidRequest, ModelNotFound, UpstreamFailed


class SetupError(ApiError):
    """Raised when the gateway's own setup is at fault. The message says what its operator must do.

    It has no word of a caller's or a model's.
    """


class NoCredit(InvalidRequest, SetupError):
    """Raised when the account of the gateway's login has no credit left."""


class Unreachable(BadGateway, SetupError):
    """Raised when Claude Code cannot connect to the model's API."""


class NoMessages(BadGateway, SetupError):
    """Raised when the answer is no stream of the Messages API's events."""


class NoSuchPath(ModelNotFound, SetupError):
    """Raised when the answer is a 404 that does not have the Messages API's form."""


class CliTooOld(ModelNotFound, SetupError):
    """Raised when Claude Code does not offer a model because it is too old for it."""


class UnexpectedStatus(UpstreamFailed, SetupError):
    """Raised when the answer has a status that the Messages API does not use."""


NO_CREDIT = (
    "The account of the gateway's login at the model's provider has no credit left. The gateway's "
    "operator must add some (for Anthropic, at console.anthropic.com under Plans & Billing), or "
    "use another login."
)
UNREACHABLE = (
    "The model's API cannot be reached: {reason}. The gateway's operator must check "
    "ANTHROPIC_BASE_URL, the proxies (HTTPS_PROXY), and the network."
)
NO_MESSAGES = (
    "The model's API answered without a single event. If it does so each time, it is not the "
    "Messages API that answers; the gateway's operator must check ANTHROPIC_BASE_URL."
)
NO_SUCH_PATH = (
    "The answer is a 404 that does not have the Messages API's form. Either the model does not "
    "exist, or the gateway's operator must correct ANTHROPIC_BASE_URL, to which Claude Code "
    "appends /v1/messages."
)
CLI_TOO_OLD = (
    "The model {model} needs Claude Code {needed} or newer, and the gateway runs {version}. The "
    "gateway's operator must update Claude Code."
)
UNEXPECTED_STATUS = (
    "The answer has the status {status}, which the Messages API does not use. The gateway's "
    "operator must check ANTHROPIC_BASE_URL and the proxies (HTTPS_PROXY)."
)
# What Claude Code's codes of failed connections mean. Other codes are shown as they are.
CODES = {
    "ECONNREFUSED": "nothing listens there, or a firewall refuses",
    "ECONNRESET": "the connection was reset",
    "ENOTFOUND": "its host name has no address",
    "EPROTO": "the server there speaks no TLS; the URL may need http://",
    "ETIMEDOUT": "the connection timed out",
}
# A code of the system, of Node.js or of TLS, at the end.
_CODE = re.compile(r"\((E[A-Z]{3,}|ERR_\w+|\w*(?:CERT|SIGNATURE|ISSUER|SSL|TLS)\w*)\)$")


def setup_error(text: str, status: int | None, api_type: str | None) -> ApiError | None:
    """Return the error if *text*, the CLI's own, means a fault of the setup.

    *status* is the HTTP status that it got, and *api_type* the error's type in the Messages API,
    which is None if the answer did not have that API's form.
    """
    if status == 402 or "credit balance is too low" in text.lower():
        return NoCredit(NO_CREDIT)
    if status is None:
        return _connection_error(text)
    if api_type is None and status == 404:
        return NoSuchPath(NO_SUCH_PATH, param="model")
    if api_type is None and (status == 405 or 300 <= status < 400):
        return UnexpectedStatus(UNEXPECTED_STATUS.format(status=status))
    return None


def too_old(model: str, needed: str, version: str | None) -> CliTooOld:
    """Return the error for a *model* that needs a newer Claude Code than *version*."""
    message = CLI_TOO_OLD.format(model=model, needed=needed, version=version or "an older one")
    return CliTooOld(message, param="model")


def _connection_error(text: str) -> ApiError | None:
    if "without receiving any events" in text:
        return NoMessages(NO_MESSAGES)
    code = _CODE.search(text.rstrip())
    if code is None:
        return None
    meaning = CODES.get(code[1])
    reason = f"{meaning} ({code[1]})" if meaning else code[1]
    return Unreachable(UNREACHABLE.format(reason=reason))
