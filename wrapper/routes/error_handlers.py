"""Error handlers: every error becomes a response in the shape of the path's API."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import Any, cast

from flask import Blueprint, Flask, Response, request, url_for
from werkzeug.exceptions import HTTPException, MethodNotAllowed, default_exceptions

from wrapper import errors
from wrapper.errors import ApiError, InvalidRequest
from wrapper.notes import NO_NOTES, Notes
from wrapper.routes.context import (
    current_gateway,
    elapsed_ms,
    is_counted,
    principal,
    request_id,
    request_span,
)
from wrapper.routes.dialects import current_dialect
from wrapper.routes.headers import JSON_TYPE, error_headers
from wrapper.routes.in_process import in_process
from wrapper.routes.json_body import BODY_BYTES
from wrapper.routes.json_response import reply
from wrapper.services import resources
from wrapper.services.turns.request_log import facts_of_error, outcome_of_error

CHAT_ENDPOINT = "wrapper.chat.create_completion"
MESSAGES_ENDPOINT = "wrapper.messages.create_message"
# An nginx with another gateway behind it sends this header (deploy/nginx.conf). The redirect makes
# it pass a request that was not begun here to that gateway. A client that sends the header itself
# cannot name any other location of the nginx.
ELSEWHERE_HEADER, ELSEWHERE_LOCATION = "X-Elsewhere", "@elsewhere"
# What an app around the gateway means if one of its hooks aborts with such a status.
OF_APP: dict[int, type[ApiError]] = {
    401: errors.InvalidApiKey,
    403: errors.PermissionDenied,
    429: errors.RateLimited,
    503: errors.Unavailable,
}

log = logging.getLogger(__name__)


def register_error_handlers(target: Blueprint | Flask) -> None:
    """Answer every error that a view of *target* raises, in the shape of its API."""
    target.register_error_handler(ApiError, handle_api_error)
    target.register_error_handler(HTTPException, handle_http_exception)
    for status in default_exceptions:  # these take precedence over the surrounding app's handlers
        target.register_error_handler(status, handle_http_exception)
    target.register_error_handler(Exception, handle_crash)


def handle_api_error(error: ApiError) -> Response:
    """Answer with the error, and log it unless its turn already has."""
    if not error.recorded:
        _record(error)
    if made := in_process(request.environ):
        made.error = error
    headers = error_headers(error.replace(notes=_limits() | error.notes))
    can_redirect = request.headers.get(ELSEWHERE_HEADER) == ELSEWHERE_LOCATION
    if isinstance(error, errors.ShuttingDown) and can_redirect:
        headers["X-Accel-Redirect"] = ELSEWHERE_LOCATION
    dialect = current_dialect()
    return reply(dialect.body(error, request_id()), dialect.status(error), headers)


def handle_http_exception(error: HTTPException) -> Response:
    """Answer one of Werkzeug's errors as the matching ApiError."""
    if error.response is not None:
        return cast(Response, error.response)
    return handle_api_error(_api_error(error))


def handle_crash(error: Exception) -> Response:
    """Answer an unexpected error. The client gets the request's id, and the log the details.

    If the machine lacks a resource, the client is told, since a later request may succeed.
    """
    if shortage := resources.lack(error):
        log.error("request %s failed: %s", request_id(), shortage.message)
        return handle_api_error(shortage.replace(retry=False))  # the turn may have run
    log.error("request %s failed", request_id(), exc_info=error)
    return handle_api_error(
        ApiError(f"The gateway failed; its log says why, at {request_id()}.", retry=False)
    )


def _record(error: ApiError) -> None:
    """Log a refusal, and add a refused turn to the history of requests.

    It is a warning if the gateway could not do what it should. A status below 500 is of the
    caller's making, who could fill the log with warnings, and a gateway that shuts down is meant to
    refuse.
    """
    outcome = outcome_of_error(error)
    facts = {"id": request_id(), "client": request.remote_addr, "path": request.path}
    facts |= {"param": error.param, "outcome": outcome, **facts_of_error(error)}
    facts |= request_span().ids
    current_gateway().observers.metrics.failed(outcome)
    request_span().conclude(outcome)
    if is_counted():
        _keep(facts)
    failed = error.status >= 500 and not isinstance(error, errors.ShuttingDown)
    log.log(logging.WARNING if failed else logging.INFO, "refused", extra={"facts": facts})


def _keep(facts: dict[str, Any]) -> None:
    """Add a refused turn to the history of requests."""
    if history := current_gateway().observers.history:
        history.add({**facts, "total_ms": elapsed_ms(), "key": principal().name})


def _limits() -> Notes:
    """Return the state of the rates and budgets that the request counts against."""
    if not is_counted():
        return NO_NOTES
    gateway, who = current_gateway(), principal()
    rates: Notes = gateway.limits.rates.notes(who)
    budgets: Notes = gateway.limits.ledger.notes(who)
    return rates | budgets


def _api_error(error: HTTPException) -> ApiError:
    match error.code:
        case 404:
            return errors.UnknownUrl(
                f"There is nothing at {request.method} {request.path[:200]}; chat completions are "
                f"at POST {url_for(CHAT_ENDPOINT)}, and messages at {url_for(MESSAGES_ENDPOINT)}."
            )
        case 405 if request.headers.get("Upgrade", "").lower() == "websocket":
            why = f"{request.path} is not served over WebSockets; use POST."
            return errors.WebSocketNotSupported(why)
        case 405:
            allowed = ", ".join(cast(MethodNotAllowed, error).valid_methods or ())
            message = f"{request.path} does not take {request.method}, but {allowed}."
            return errors.MethodNotSupported(message, headers={"Allow": allowed})
        case 413:
            limit = BODY_BYTES // 1024**2
            return errors.RequestTooLarge(f"The body is larger than {limit} MiB.")
        case 415:
            return errors.UnsupportedMediaType(f"Send the body as {JSON_TYPE}.")
    status = error.code or 500
    kind = OF_APP.get(status, ApiError if status >= 500 else InvalidRequest)
    after = retry_seconds(getattr(error, "retry_after", None), datetime.now(UTC))
    return kind(error.description or error.name, retry_after=after)


def retry_seconds(after: object, now: datetime) -> int | None:
    """Return the seconds from *now* until *after*, which Werkzeug takes as seconds or a time."""
    if not isinstance(after, datetime):
        return after if isinstance(after, int) else None
    moment = after if after.tzinfo else after.replace(tzinfo=UTC)  # as Werkzeug reads it
    return max(1, math.ceil((moment - now).total_seconds()))
