"""Lingering close: drain the socket before closing, so that the client can read its answer."""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

LINGER_SECONDS = 2.0
# All lingering connections together are read at this rate, so that they cost little CPU.
BYTES_PER_SECOND = 64 * 1024**2
STEP_BYTES = 256 * 1024
PAUSE_SECONDS = 0.05
_RESET = struct.pack("ii", 1, 0)


@dataclass
class _Connection:
    deadline: float
    drained: int = 0


class LingeringClose:
    """Closes connections from the worker's loop, without a thread.

    A client that writes its whole request before it reads would hang, or lose the answer, if its
    connection closed at once. A client that still sends after LINGER_SECONDS gets a reset. *poller*
    belongs to the loop, whose thread makes all calls. *close* closes a connection.
    """

    def __init__(
        self,
        poller: selectors.BaseSelector,
        close: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._poller = poller
        self._close = close
        self._clock = clock
        self._connections: dict[Any, _Connection] = {}  # in the order of their deadlines
        self._paused: list[Any] = []
        self._budget = float(BYTES_PER_SECOND)
        self._refilled = clock()
        self._sink = bytearray(STEP_BYTES)

    def add(self, conn: Any) -> None:
        """End the answer on *conn*, and close it once its client has left."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self._listen(conn)
        except (OSError, ValueError):  # it has left
            self._close(conn)
        else:
            self._connections[conn] = _Connection(self._clock() + LINGER_SECONDS)

    def timeout(self, seconds: float) -> float:
        """Return how long the loop may wait for events, at most *seconds*."""
        if self._paused:
            return min(seconds, PAUSE_SECONDS)
        for connection in self._connections.values():
            return max(0.0, min(seconds, connection.deadline - self._clock()))
        return seconds

    def tick(self) -> None:
        """Close overdue connections and resume paused ones. The loop calls this in each round."""
        if not self._connections:
            return
        now = self._clock()
        overdue = [conn for conn, state in self._connections.items() if state.deadline <= now]
        for conn in overdue:
            self._end(conn)
        if self._paused and self._refill(now) >= STEP_BYTES:
            paused, self._paused = self._paused, []
            for conn in paused:
                self._listen(conn)

    def _listen(self, conn: Any) -> None:
        self._poller.register(conn.sock, selectors.EVENT_READ, lambda _: self._drain(conn))

    def _refill(self, now: float) -> float:
        earned = (now - self._refilled) * BYTES_PER_SECOND
        self._budget = min(self._budget + earned, float(BYTES_PER_SECOND))
        self._refilled = now
        return self._budget

    def _drain(self, conn: Any) -> None:
        if self._budget < STEP_BYTES and self._refill(self._clock()) < STEP_BYTES:
            self._poller.unregister(conn.sock)
            self._paused.append(conn)
            return
        try:
            size = conn.sock.recv_into(self._sink)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            size = 0
        self._budget -= size
        self._connections[conn].drained += size
        if not size:
            self._end(conn)

    def _end(self, conn: Any) -> None:
        state = self._connections.pop(conn)
        if conn in self._paused:
            self._paused.remove(conn)
        else:
            self._poller.unregister(conn.sock)
        if state.drained and state.deadline <= self._clock():
            # Without a reset, a client that waits for room in our buffer would wait for minutes.
            with suppress(OSError):
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close(conn)
