"""A Messages API on loopback that records each request and gives each the same answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Far more than Claude Code sends in a short conversation.
MAX_BODY_BYTES = 8 * 1024**2
USAGE = {"input_tokens": 1, "output_tokens": 1}
MESSAGE: dict[str, Any] = {
    "id": "msg_trial",
    "type": "message",
    "role": "assistant",
    "model": "trial",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": USAGE,
}
EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "OK"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
    {"type": "message_stop"},
)
ANSWER = b"".join(
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in EVENTS
)


@dataclass(frozen=True)
class Request:
    """A request as it was sent."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Recorder(ThreadingHTTPServer):
    """Listens on a port of its own. `requests` grows in the order in which requests arrive."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that a process was stopped while it sent a request."""


class _Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        size = min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES)
        body = self.rfile.read(size)
        self.server.requests.append(Request(self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

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
