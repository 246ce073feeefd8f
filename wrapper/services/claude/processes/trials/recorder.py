"""A Messages API on loopback that records each request and gives it the next answer of a list."""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from wrapper.services.claude.processes.trials import answer
from wrapper.services.claude.processes.trials.answer import Answer

# Far more than Claude Code sends in a short conversation.
MAX_BODY_BYTES = 8 * 1024**2
# More requests than any trial has; a process that sends more gets errors.
MOST_REQUESTS = 200
NOT_FOUND = answer.error(404, "not_found_error", "There is nothing here.")


@dataclass(frozen=True)
class Request:
    """A request as it was sent."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of the body, none if it is no JSON object."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


class Recorder(ThreadingHTTPServer):
    """Listens on a port of its own. `requests` grows in the order in which requests arrive.

    Each request gets the first of `answers`, or a short text if there are none. Other users of the
    machine can reach the port, but do not know the path in `url`; what they send is not recorded.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._path = f"/{secrets.token_urlsafe(16)}"
        self.requests: list[Request] = []
        self.answers: deque[Answer] = deque()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{self._path}"

    def take(self) -> list[Request]:
        """Return the requests so far, and forget them."""
        requests, self.requests = self.requests, []
        return requests

    def admits(self, path: str) -> bool:
        """Say whether a request to *path* comes from a process that was given `url`."""
        start = path[: len(self._path) + 1]
        known = secrets.compare_digest(start.encode(), f"{self._path}/".encode())
        return known and len(self.requests) < MOST_REQUESTS

    def record(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Record a request, by its path below `url`, and return the answer to it."""
        self.requests.append(Request(path.removeprefix(self._path), headers, body))
        try:
            return self.answers.popleft()
        except IndexError:
            return answer.text()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that a process was stopped while it sent a request."""


class _Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        size = min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES)
        body = self.rfile.read(size)
        admitted = self.server.admits(self.path)
        self._reply(
            self.server.record(self.path, dict(self.headers), body) if admitted else NOT_FOUND
        )

    def _reply(self, reply: Answer) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *arguments: Any) -> None:
        """Log nothing: the requests are the trial's own."""


@contextmanager
def recording() -> Iterator[Recorder]:
    """Serve until the block ends."""
    with Recorder() as recorder:
        thread = threading.Thread(target=recorder.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield recorder
        finally:
            recorder.shutdown()
            thread.join()
