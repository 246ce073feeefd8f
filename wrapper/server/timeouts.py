"""Limit how long a client may take to send a request and to read its answer."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable

# A client that keeps sending gets one more second for each of these bytes.
LEAST_RATE = 8192
# A larger buffer would be mapped anew for each read, and its pages cost more time than its bytes.
LARGEST_READ = 128 * 1024
# The system's buffer for an answer that the client has not read, instead of megabytes. It is large
# enough for a distant client, and small enough that Claude Code soon has to wait for a client that
# does not read.
SEND_BYTES = 128 * 1024


def limit_connections(sock: socket.socket, seconds: int) -> None:
    """Time out connections that neither send nor read for *seconds*, and buffer little for them.

    *sock* is a connection, or on Linux a listener, which passes its options on to the connections
    that it accepts. A socket that is not TCP's stays as it is.

    SO_SNDTIMEO begins anew with each write that sends some bytes; TCP_USER_TIMEOUT does not, and
    needs no write. Only Linux has it.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    limit = struct.pack("ll", seconds, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


class RequestSocket:
    """The socket that gunicorn reads requests from, with a time limit for each request.

    Each request may take *seconds*, and longer if it is large. After one that took too long
    `timed_out` is true, and nothing more is read.
    """

    def __init__(
        self, sock: socket.socket, seconds: float, clock: Callable[[], float] = time.monotonic
    ):
        self._sock = sock
        self._seconds = seconds
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._deadline = 0.0
        self.timed_out = False
        self.gettimeout = sock.gettimeout
        self.settimeout = sock.settimeout
        self.sendall = sock.sendall

    def begin_request(self) -> None:
        """Start the time of a request."""
        self._deadline = self._clock() + self._seconds

    def recv(self, size: int) -> bytes:
        """Return what the client has sent, or nothing if the time is over."""
        if not self._poll.poll(1000 * self._seconds_left()):
            self.timed_out = True
        data = b"" if self.timed_out else self._sock.recv(min(size, LARGEST_READ))
        self._deadline += len(data) / LEAST_RATE
        return data

    def _seconds_left(self) -> float:
        left = max(0.0, self._deadline - self._clock())
        timeout = self.gettimeout()
        return left if timeout is None else min(left, timeout)
