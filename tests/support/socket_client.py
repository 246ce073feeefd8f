"""A client on a bare socket, which can be slow, silent or gone at any point."""

from __future__ import annotations

import json
import select
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Any

from tests.support.server import DEADLINE, MODEL, Server

PATH = "/v1/chat/completions"


def head(**headers: str) -> str:
    """Return a request's head without its length and the empty line."""
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json", **headers}
    sent = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {PATH} HTTP/1.1\r\n{sent}"


def request(
    text: str,
    *,
    stream: bool = False,
    profile: str = "plain",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> bytes:
    """Return the bytes of a request for a completion."""
    messages = [{"role": "user", "content": text}]
    body = {"model": MODEL, "messages": messages, "stream": stream, "claude": {"profile": profile}}
    data = json.dumps({**body, **more}).encode()
    return f"{head(**(headers or {}))}Content-Length: {len(data)}\r\n\r\n".encode() + data


class Client:
    """A connection to *server* with a small receive buffer. It must be closed."""

    def __init__(self, server: Server):
        self.said = b""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(("127.0.0.1", server.port))

    def send(self, data: bytes) -> Client:
        self._socket.sendall(data)
        return self

    def finish(self) -> Client:
        """Shut down the sending side."""
        with suppress(OSError):  # the server has reset it
            self._socket.shutdown(socket.SHUT_WR)
        return self

    def read_until(self, text: bytes) -> bytes:
        """Read until *text* has come or the stream ends, and return everything received."""
        while text not in self.said and (more := self._socket.recv(65536)):
            self.said += more
        return self.said

    def wait(self) -> bool:
        """Wait until there is something to read; return whether there is."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(DEADLINE * 1000))

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Reset the connection, as a client that crashes does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
