"""A client of a running server that shares no code with it, and how its answers fail."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

SECONDS = 180.0


class Failed(Exception):
    """Raised when an answer of the server is wrong; the message says how."""


class NotOffered(Exception):
    """Raised when the server does not offer the feature to be checked."""


class Client:
    """Calls the server at *url*, which may end in /v1. Raises ValueError if it is not http(s)."""

    def __init__(self, url: str, key: str = ""):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"{url!r} is not the URL of a server; give one like http://127.0.0.1:8000"
            )
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self._kind = kinds[parts.scheme]
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        sent = key.encode(errors="surrogateescape").decode("latin-1")  # as headers are encoded
        self._headers = {"Authorization": f"Bearer {sent}"} if key else {}

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Return status and body; raises OSError or HTTPException if there is no answer."""
        connection = self._kind(self._host, self._port, timeout=SECONDS)
        headers = {**self._headers, "Content-Type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, f"{self._prefix}{path}", data, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the parsed body of a successful answer; raises Failed for others."""
        return parse(self.succeed(method, path, body))

    def succeed(self, method: str, path: str, body: Any = None) -> bytes:
        """Return the body of a successful answer; raises Failed for others."""
        status, data = self.call(method, path, body)
        if not 200 <= status < 300:
            raise Failed(f"status {status}: {error_text(data)}")
        return data


def expect(holds: Any, why: str) -> None:
    """Raise Failed with the reason *why* unless *holds* is true."""
    if not holds:
        raise Failed(why)


def parse(data: str | bytes) -> Any:
    """Return the JSON of *data*; raises Failed if there is none."""
    try:
        return json.loads(data)
    except ValueError:
        text = data if isinstance(data, str) else data.decode(errors="replace")
        raise Failed(f"this is not JSON: {text[:100]!r}") from None


def error_text(data: bytes) -> str:
    """Return the code and message in an error's body."""
    try:
        return describe_error(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace") or "an empty answer"


def describe_error(error: Any) -> str:
    """Return the code, or else the type, and the message of an error object."""
    return f"{error.get('code') or error['type']}: {error['message']}"
