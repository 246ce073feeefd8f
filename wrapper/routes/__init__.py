"""The routes: thin views; load, call a service, return. These names are for a shop's own views."""

from wrapper.routes.context import caller, principal, reply, request_id
from wrapper.routes.json_body import load
from wrapper.routes.operation import operation
from wrapper.routes.sse import stream_response

__all__ = [
    "caller",
    "load",
    "operation",
    "principal",
    "reply",
    "request_id",
    "stream_response",
]
