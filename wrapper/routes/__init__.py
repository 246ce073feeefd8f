"""The routes: thin views; load, call a service, return. These names are for a shop's own views."""

from wrapper.routes.body import load
from wrapper.routes.http import caller, principal, reply, request_id
from wrapper.routes.operation import operation
from wrapper.routes.stream import stream_response

__all__ = [
    "caller",
    "load",
    "operation",
    "principal",
    "reply",
    "request_id",
    "stream_response",
]
