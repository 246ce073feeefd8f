"""Patience: how long a client may take to ask and to read."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable

# A client that sends all the while gets a second more for so many bytes.
LEAST_RATE = 8192
# What the system keeps of an answer that is not read, in place of megabytes: enough for a distant
# client, and little enough that Claude Code is soon kept waiting for one that does not read.
SEND_BYTES = 128 * 1024


def bound(listener: socket.socket, seconds: int) -> None:
    """Have the system leave who for *seconds* send or read nothing, and keep little for it.

    Linux passes a listener's options on to the connections that it accepts. SO_SNDTIMEO begins anew
    with each write that gets some bytes out; TCP_USER_TIMEOUT does not, and needs no write.
    """
    limit = struct.pack("ll", seconds, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # on Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


class Ear:
    """Hears a client's requests on *sock*, each for *seconds*, and longer where much is said.

    It is what gunicorn reads from. To a client that was too slow it is `deaf` from then on.
    """

    def __init__(
        self, sock: socket.socket, seconds: float, clock: Callable[[], float] = time.monotonic
    ):
        self._sock = sock
        self._seconds = seconds
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._until = 0.0
        self.deaf = False
        self.gettimeout = sock.gettimeout
        self.settimeout = sock.settimeout
        self.sendall = sock.sendall

    def begin(self) -> None:
        """Begin to hear another request."""
        self._until = self._clock() + self._seconds

    def recv(self, size: int) -> bytes:
        """Return what was said, or nothing where that has taken too long."""
        if not self._poll.poll(1000 * self._left()):
            self.deaf = True
        said = b"" if self.deaf else self._sock.recv(size)
        self._until += len(said) / LEAST_RATE
        return said

    def _left(self) -> float:
        left = max(0.0, self._until - self._clock())
        timeout = self.gettimeout()
        return left if timeout is None else min(left, timeout)
