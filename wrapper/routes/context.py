"""The current request: its id, its caller, the time it has taken, and the gateway it is for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from flask import Request, Response, after_this_request, current_app, g, request

from wrapper.ids import new_id
from wrapper.routes.connection import connection_probe
from wrapper.routes.in_process import in_process
from wrapper.services.principal import Caller, Principal
from wrapper.services.telemetry.traces import NULL_TRACE, RequestSpan, Traces

LONGEST_IDEMPOTENCY_KEY = 256
LONGEST_USER_AGENT = 256
_REQUEST_ID = re.compile(r"[\w-]{1,128}", re.ASCII)


def current_gateway() -> Any:
    """Return the Gateway of the app that handles the request."""
    return current_app.extensions["wrapper"]


def current_request() -> Request:
    """Return the request itself, as each use of Flask's proxy for it takes a microsecond."""
    # The stubs lack the proxy's method.
    return cast(Request, request._get_current_object())  # type: ignore[attr-defined]


def request_id() -> str:
    """Return the id that the client gave this request, or a new one."""
    id_: str | None = g.get("wrapper_request_id")
    if id_ is None:
        sent = request.headers.get("x-request-id", "")
        valid = _REQUEST_ID.fullmatch(sent)
        id_ = g.wrapper_request_id = sent if valid else new_id("req_")
    return id_


def principal() -> Principal:
    """Return who is calling, in a view that needs a key."""
    return cast(Principal, g.wrapper_principal)


def caller() -> Caller:
    """Return the caller who waits for the answer to this request, in a view that needs a key."""
    sent = current_request()
    made = in_process(sent.environ)
    return Caller(
        principal(),
        request_id(),
        made.gone if made else connection_probe(sent.environ),
        attempt=sent.headers.get("Idempotency-Key", "")[:LONGEST_IDEMPOTENCY_KEY],
        # OpenAI's libraries count their retries in this header.
        again=sent.headers.get("x-stainless-retry-count", "0") != "0",
        address=sent.remote_addr or "",
        client_session=sent.headers.get("X-Claude-Code-Session-Id", ""),
        background=made is not None,
        span=request_span(),
    )


def begin_span(traces: Traces) -> None:
    """Begin the span of this request, which ends with its response, if *traces* are enabled."""
    if not traces.enabled:
        return
    route = str(request.url_rule)
    facts = {
        "http.request.method": request.method,
        "http.route": route,
        "url.path": request.path,
        "url.scheme": request.scheme,
        "client.address": request.remote_addr or "",
        "user_agent.original": request.user_agent.string[:LONGEST_USER_AGENT],
        "claude_gateway.request_id": request_id(),
        "claude_gateway.key": principal().name,
    }
    g.wrapper_span = span = traces.request(f"{request.method} {route}", facts, request.headers)

    @after_this_request
    def end_span(response: Response) -> Response:
        # A stream goes on after this.
        response.call_on_close(partial(span.end, response.status_code))
        return response


def request_span() -> RequestSpan:
    """Return the span of this request."""
    span: RequestSpan = g.get("wrapper_span", NULL_TRACE)
    return span


def admit_caller() -> Caller:
    """Return the caller, after checking that their rate and budget allow a request for turns.

    Call it before the body is read. The request counts whatever becomes of it, and its response
    carries the rate limit headers.
    """
    g.wrapper_counted = True
    admit: Callable[[Caller], Caller] = current_gateway().chat_service.admit
    return admit(caller())


def is_counted() -> bool:
    """Say whether this request counts against its caller's rates."""
    return "wrapper_counted" in g


def start_timer() -> None:
    """Remember when the processing of this request began."""
    g.setdefault("wrapper_began", time.monotonic())


def elapsed_ms() -> int:
    """Return the whole milliseconds since the processing of this request began."""
    now = time.monotonic()
    return int(1000 * (now - g.get("wrapper_began", now)))
