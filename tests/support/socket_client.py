"""A client on a bare socket, which can be slow, deaf or gone at any point."""

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
    """Return the lines before a request's body, but for its length and the empty line."""
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json", **headers}
    sent = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {PATH} HTTP/1.1\r\n{sent}"


def request(
    told: str,
    *,
    stream: bool = False,
    profile: str = "plain",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> bytes:
    """Return the bytes of a request for a completion."""
    messages = [{"role": "user", "content": told}]
    body = {"model": MODEL, "messages": messages, "stream": stream, "claude": {"profile": profile}}
    data = json.dumps({**body, **more}).encode()
    return f"{head(**(headers or {}))}Content-Length: {len(data)}\r\n\r\n".encode() + data


class Client:
    """A connection to *server*, with little room for what it does not read. It must be closed."""

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
        """Say that nothing more is sent."""
        with suppress(OSError):  # it was refused, and reset
            self._socket.shutdown(socket.SHUT_WR)
        return self

    def read_until(self, text: bytes) -> bytes:
        """Return what was said, which has come to hold *text* or was all."""
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
        """Leave without a farewell, as a client does that has crashed."""
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
