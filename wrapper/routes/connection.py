"""The connection of a request: whether its client has left."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

HUNG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)  # without POLLRDHUP: not on Linux


def connection_probe(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Return a function that says, without waiting, whether a WSGI request's client has left.

    WSGI has no word for it, nor has gunicorn. The socket knows, also under TLS and with unread
    bytes. Waitress knows if its channel_request_lookahead is not 0.
    """
    if "waitress.client_disconnected" in environ:
        disconnected: Callable[[], bool] = environ["waitress.client_disconnected"]
        return disconnected
    sock: socket.socket | None = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if sock is None:
        return lambda: False
    poll = select.poll()
    poll.register(sock, HUNG_UP)
    return lambda: bool(poll.poll(0))
