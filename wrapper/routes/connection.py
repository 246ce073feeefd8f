"""The connection of a request: whether its client has left."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping
from typing import Any


def connection_probe(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Return a function that says, without waiting, whether a WSGI request's client has left.

    WSGI has no word for it, nor has gunicorn. The socket knows, also under TLS. Waitress knows if
    its channel_request_lookahead is not 0.
    """
    if "waitress.client_disconnected" in environ:
        disconnected: Callable[[], bool] = environ["waitress.client_disconnected"]
        return disconnected
    sock: socket.socket | None = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if sock is None:
        return lambda: False
    left = hang_up_probe(sock)
    return lambda: left(0)


def hang_up_probe(sock: socket.socket) -> Callable[[float], bool]:
    """Return a function that waits up to some seconds, and says whether the other side has left.

    On Linux the kernel reports it at once (POLLRDHUP). Elsewhere it may be noticed only after the
    bytes before it are read, which the other side has sent without being asked.
    """
    poll = select.poll()
    if hasattr(select, "POLLRDHUP"):
        poll.register(sock, select.POLLRDHUP)
        return lambda seconds: bool(poll.poll(seconds * 1000))
    poll.register(sock, select.POLLIN)
    return lambda seconds: any(_is_end(sock, event) for _, event in poll.poll(seconds * 1000))


def _is_end(sock: socket.socket, event: int) -> bool:
    """Say whether *event* is the end of what *sock* receives."""
    if event & (select.POLLHUP | select.POLLERR):
        return True
    try:  # by the plain socket's method, since that of a TLS socket cannot peek
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
