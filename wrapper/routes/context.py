"""What all routes share: the request's id and caller, and how answers and errors are told."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, g, request, url_for
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    default_exceptions,
)

from wrapper import errors
from wrapper.auth.guard import Guard
from wrapper.errors import ApiError, InvalidRequest
from wrapper.routes.json_body import BODY_BYTES, JSON_TYPE
from wrapper.routes.operation import operation_of
from wrapper.services import resources
from wrapper.services.background.offload.runner import caller_name
from wrapper.services.background.watchdog import connection_probe
from wrapper.services.principal import Caller, Principal

# An nginx that has another gateway says so with each request (deploy/nginx.conf), and takes there
# what is not begun here. Whoever sends the header themselves can name no other place of an nginx's.
ELSEWHERE, PLACE = "X-Elsewhere", "@elsewhere"
LONGEST_ATTEMPT = 256
# Answers are for the program that asked, not for a browser to render, to frame or to keep.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

CHAT_ENDPOINT = "wrapper.chat.create_completion"
# OpenAI's name for it.
PROCESSING = "openai-processing-ms"
PROCESSING_MEANS = "Milliseconds until the answer was ready, or until a stream began."
_ID = re.compile(r"[\w-]{1,128}", re.ASCII)
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

log = logging.getLogger(__name__)


def install(blueprint: Blueprint, guard: Guard) -> None:
    """Give *blueprint* the checks before each view, and the stamps and errors after it.

    What has passed starts the gateway, where nobody has.
    """

    install_answers(blueprint)

    @blueprint.before_request
    def check() -> tuple[str, int] | None:
        if request.method == "OPTIONS":
            return "", 204
        declared = operation_of(current_app.view_functions[str(request.endpoint)])
        g.principal = guard.check(request, declared.needs_key)
        caller_name.set(g.principal.name if g.principal else "")
        if declared.needs_key and not declared.turns:
            current_gateway().rates.read(principal())
        current_gateway().start()
        return None


def install_answers(target: Blueprint | Flask) -> None:
    """Let *target* stamp its responses and tell its errors in OpenAI's shape."""
    target.before_request(begin)
    target.after_request(stamp)
    target.register_error_handler(ApiError, render)
    target.register_error_handler(HTTPException, render_http)
    for status in default_exceptions:  # which go before those of the app around it
        target.register_error_handler(status, render_http)
    target.register_error_handler(Exception, render_crash)


def begin() -> None:
    """Take note of when a request's processing begins."""
    g.setdefault("began", time.monotonic())


def principal() -> Principal:
    """Return who is calling, in a view that needs a key."""
    return cast(Principal, g.principal)


def caller() -> Caller:
    """Return who waits for the answer to this request, in a view that needs a key."""
    return Caller(
        principal(),
        request_id(),
        connection_probe(request.environ),
        attempt=request.headers.get("Idempotency-Key", "")[:LONGEST_ATTEMPT],
        # OpenAI's libraries count the times that they have sent it before.
        again=request.headers.get("x-stainless-retry-count", "0") != "0",
    )


def admitted() -> Caller:
    """Return who waits for the answer, once their rate and budget allow a request for turns.

    To be called before the body is read. Whatever becomes of the request, it is counted, and its
    answer tells the state of the rates.
    """
    g.counted = True
    admit: Callable[[Caller], Caller] = current_gateway().chat_service.admit
    return admit(caller())


def request_id() -> str:
    """Return the id that the client gave this request, or a new one."""
    known: str | None = g.get("request_id")
    if known is None:
        sent = request.headers.get("x-request-id", "")
        known = g.request_id = sent if _ID.fullmatch(sent) else f"req_{secrets.token_hex(16)}"
    return known


def stamp(response: Response) -> Response:
    """Give *response*, once, the headers that all have; what a view says itself stays."""
    headers = response.headers
    if "x-request-id" not in headers:
        headers.add("x-request-id", request_id())
        headers.add(PROCESSING, _elapsed_ms())
        for name, value in SECURITY.items():
            if name not in headers:
                headers.add(name, value)
    return response


def _elapsed_ms() -> int:
    """Return the whole milliseconds since the request's processing began."""
    now = time.monotonic()
    return int(1000 * (now - g.get("began", now)))


def reply(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] = {}) -> Response:
    return Response(_write(data), status, headers, mimetype=JSON_TYPE)


def render(error: ApiError) -> Response:
    """Tell of an error, to the client and, unless its turn has, to the log."""
    if not error.recorded:
        outcome = error.code or error.type
        facts = {"id": request_id(), "path": request.path, "status": error.status}
        current_gateway().metrics.failed(outcome)
        log.info("refused", extra={"facts": {**facts, "param": error.param, "outcome": outcome}})
    headers = {**_rates(), **error.headers()}
    if isinstance(error, errors.ShuttingDown) and request.headers.get(ELSEWHERE) == PLACE:
        headers["X-Accel-Redirect"] = PLACE
    return reply(error.body(), error.status, headers)


def _rates() -> dict[str, str]:
    """Return the headers of the rates that the request was counted against."""
    known: dict[str, str] = current_gateway().rates.headers(principal()) if "counted" in g else {}
    return known


def render_http(error: HTTPException) -> Response:
    """Tell one of Werkzeug's errors as one of ours."""
    if error.response is not None:
        return cast(Response, error.response)
    match error.code:
        case 404:
            chat = url_for(CHAT_ENDPOINT)
            what = f"There is nothing at {request.method} {request.path[:200]}"
            return render(errors.UnknownUrl(f"{what}; chat completions are at POST {chat}."))
        case 405:
            allowed = ", ".join(cast(MethodNotAllowed, error).valid_methods or ())
            message = f"{request.path} does not take {request.method}, but {allowed}."
            return render(errors.MethodNotSupported(message, headers={"Allow": allowed}))
        case 413:
            limit = BODY_BYTES // 1024**2
            return render(errors.RequestTooLarge(f"The body is larger than {limit} MiB."))
        case 415:
            return render(errors.UnsupportedMediaType(f"Send the body as {JSON_TYPE}."))
    failed = ApiError if (error.code or 500) >= 500 else InvalidRequest
    return render(failed(error.description or error.name))


def render_crash(error: Exception) -> Response:
    """Tell of a fault of our own, of which the client learns no more than its id.

    What comes of the machine's lack of something is told, and may pass.
    """
    if short := resources.lack(error):
        log.error("request %s failed: %s", request_id(), short.message)
        short.retry = False  # the turn may have been had
        return render(short)
    log.error("request %s failed", request_id(), exc_info=error)
    return render(
        ApiError(f"The gateway failed; its log says why, at {request_id()}.", retry=False)
    )


def current_gateway() -> Any:
    """Return the Gateway of the app that is handling the request."""
    return current_app.extensions["wrapper"]
