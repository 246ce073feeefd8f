"""The HTTP routes. An app may use these names in views of its own."""

from wrapper.routes.context import caller, principal, request_id
from wrapper.routes.headers import error_headers
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.routes.sse import stream_response

__all__ = [
    "caller",
    "error_headers",
    "load",
    "operation",
    "principal",
    "reply",
    "request_id",
    "stream_response",
]
