"""A resolver that gives one host a public address, then loopback, and so on in turn.

Connections to the public address go to loopback, too, so that the host can have a server.
"""

from __future__ import annotations

import itertools
import socket
from typing import Any

HOST = "changing.example.com"
PUBLIC = "8.8.8.8"
LOOPBACK = "127.0.0.1"


def install() -> None:
    """Resolve names so in this process from now on."""
    resolve, connect = socket.getaddrinfo, socket.socket.connect
    addresses = itertools.cycle((PUBLIC, LOOPBACK))

    def getaddrinfo(host: Any, *given: Any, **more: Any) -> Any:
        return resolve(next(addresses) if host == HOST else host, *given, **more)

    def connect_to(sock: Any, address: Any) -> None:
        connect(sock, (LOOPBACK, address[1]) if address[0] == PUBLIC else address)

    socket.getaddrinfo = getaddrinfo
    socket.socket.connect = connect_to  # type: ignore[method-assign]
