"""Answer requests that gunicorn cannot parse with errors in the shape of the path's API."""

from __future__ import annotations

import json
from http import HTTPStatus
from ssl import SSLError

from gunicorn.http import errors as http

from wrapper.errors import ApiError, MalformedRequest, PermissionDenied, UnknownUrl
from wrapper.ids import new_id
from wrapper.routes.dialects import dialect_of
from wrapper.routes.headers import JSON_TYPE, PROCESSING, SECURITY, error_headers
from wrapper.routes.paths import PREFIX

# The statuses that say how a request is malformed. Others get 400.
STATUSES: dict[type[BaseException], int] = {
    http.LimitRequestLine: 414,
    http.ExpectationFailed: 417,
    http.LimitRequestHeaders: 431,
    http.UnsupportedTransferCoding: 501,
    http.InvalidHTTPVersion: 505,
}
LONGEST_REASON = 200


def error_for(fault: BaseException) -> ApiError:
    """Return the error for the client whose request made gunicorn raise *fault*."""
    if isinstance(fault, http.ConfigurationProblem):
        return UnknownUrl("The path is outside the prefix that this server serves (SCRIPT_NAME).")
    if isinstance(fault, http.ForbiddenProxyRequest):
        return PermissionDenied("PROXY headers are not allowed from this address.")
    # InvalidResponseHeader, in newer versions, is an error of the app.
    from_app = type(fault).__name__.startswith("InvalidResponse")
    if isinstance(fault, (http.ParseException, SSLError)) and not from_app:
        reason = str(fault)[:LONGEST_REASON]
        error = MalformedRequest(f"The request is not valid HTTP: {reason}")
        error.status = STATUSES.get(type(fault), error.status)
        return error
    return ApiError("The gateway failed; its log says why.", retry=False)


def response(error: ApiError, path: str = "") -> tuple[str, bytes]:
    """Return an id for the request, and the bytes of the answer.

    *path* is "" if the request was malformed before it.
    """
    id_ = new_id("req_")
    dialect = dialect_of(path, PREFIX)
    body = json.dumps(dialect.body(error, id_)).encode()
    headers = {
        "Connection": "close",
        "Content-Type": JSON_TYPE,
        "Content-Length": str(len(body)),
        **dict.fromkeys(dialect.id_headers, id_),
        PROCESSING: "0",
        **SECURITY,
        **error_headers(error),
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return id_, "\r\n".join([*lines, "", ""]).encode("latin-1") + body
