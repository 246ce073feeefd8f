"""Malformed requests: what gunicorn cannot parse, answered as an error in OpenAI's shape."""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from ssl import SSLError

from gunicorn.http import errors as http

from wrapper.errors import ApiError, MalformedRequest, PermissionDenied, UnknownUrl
from wrapper.routes.context import PROCESSING, SECURITY
from wrapper.routes.json_body import JSON_TYPE

# What a client is told of how its request is wrong; the rest are a 400.
STATUSES: dict[type[BaseException], int] = {
    http.LimitRequestLine: 414,
    http.ExpectationFailed: 417,
    http.LimitRequestHeaders: 431,
    http.UnsupportedTransferCoding: 501,
    http.InvalidHTTPVersion: 505,
}
LONGEST_REASON = 200


def error_for(fault: BaseException) -> ApiError:
    """Return what a client is told of *fault*, which gunicorn has raised for its request."""
    if isinstance(fault, http.ConfigurationProblem):
        return UnknownUrl("The path is outside of what this server serves (SCRIPT_NAME).")
    if isinstance(fault, http.ForbiddenProxyRequest):
        return PermissionDenied("PROXY headers are not allowed from this address.")
    # InvalidResponseHeader, of newer versions, is a fault of the app's.
    ours = type(fault).__name__.startswith("InvalidResponse")
    if isinstance(fault, (http.ParseException, SSLError)) and not ours:
        reason = str(fault)[:LONGEST_REASON]
        error = MalformedRequest(f"The request is not valid HTTP: {reason}")
        error.status = STATUSES.get(type(fault), error.status)
        return error
    return ApiError("The gateway failed; its log says why.", retry=False)


def response(error: ApiError) -> tuple[str, bytes]:
    """Return an id for the request, and the bytes of the whole answer to it."""
    id_ = f"req_{secrets.token_hex(16)}"
    body = json.dumps(error.body()).encode()
    headers = {
        "Connection": "close",
        "Content-Type": JSON_TYPE,
        "Content-Length": str(len(body)),
        "x-request-id": id_,
        PROCESSING: "0",
        **SECURITY,
        **error.headers(),
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return id_, "\r\n".join([*lines, "", ""]).encode("latin-1") + body
