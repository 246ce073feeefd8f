"""A scripted token endpoint, behind a proxy on loopback that answers for every HTTPS host."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import trustme


class TokenEndpoint:
    """Renews logins: each refresh token works once. `asked` are the tokens that came."""

    def __init__(self, folder: Path, valid: str):
        self._authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        self._valid = valid
        self._lock = threading.Lock()
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def variables(self) -> dict[str, str]:
        """Return the environment that sends a process's HTTPS requests here."""
        proxy = {"HTTPS_PROXY": self.url, "NO_PROXY": "127.0.0.1,localhost"}
        return {**proxy, "NODE_EXTRA_CA_CERTS": str(self.ca_file)}

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with plain:
            host = _head(plain).split()[1].decode().rpartition(":")[0]
            plain.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    self._answer(secure)
            except OSError:
                pass  # the client has disconnected

    def _answer(self, secure: ssl.SSLSocket) -> None:
        head = _head(secure)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = b""
        while length and len(body) < int(length[1]):
            body += secure.recv(65536)
        status, reply = 404, dict[str, Any]()
        if b"/oauth/token" in head.split(b"\r\n")[0]:
            status, reply = self._renew(json.loads(body)["refresh_token"])
        data = json.dumps(reply).encode()
        start = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
        secure.sendall(f"{start}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def _renew(self, token: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.asked.append(token)
            if token != self._valid:
                return 400, {"error": "invalid_grant"}
            self._valid = f"sk-ant-ort01-renewed-{len(self.asked)}"
            access = f"sk-ant-oat01-renewed-{len(self.asked)}"
            tokens = {"access_token": access, "refresh_token": self._valid, "token_type": "Bearer"}
            return 200, {**tokens, "expires_in": 28800, "scope": "user:inference user:profile"}


def _head(connection: socket.socket) -> bytes:
    """Return a request's head, read byte by byte so that nothing of its body is read."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
        head += byte
    return head
