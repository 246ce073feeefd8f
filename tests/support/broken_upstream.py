"""An upstream at which every request fails, in the way that the base URL names."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Failure(NamedTuple):
    """What the upstream answers to every request."""

    status: int
    body: str
    mimetype: str = "application/json"


def _error(kind: str, message: str) -> str:
    """Return an error's body in the form of the Messages API."""
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}})


PAGE = "<!doctype html><title>Welcome</title><p>Nothing to see here.</p>"
# The first part of the base URL's path names one of these.
FAILURES = {
    "refused-key": Failure(401, _error("authentication_error", "invalid x-api-key")),
    "no-credit": Failure(
        400,
        _error(
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits.",
        ),
    ),
    "billing": Failure(402, _error("billing_error", "Your payment method was declined.")),
    "disabled": Failure(
        400, _error("invalid_request_error", "This organization has been disabled.")
    ),
    "forbidden": Failure(403, _error("permission_error", "Your key may not use this model.")),
    "model": Failure(404, _error("not_found_error", "model: claude-sonnet-4-20250514")),
    "not-found": Failure(404, _error("not_found_error", "Not Found")),
    "not-found-page": Failure(404, PAGE, "text/html"),
    "other-api": Failure(404, json.dumps({"detail": "Not Found"})),
    "page": Failure(200, PAGE, "text/html"),
    "blocked": Failure(403, PAGE, "text/html"),
    "wrong-method": Failure(405, PAGE, "text/html"),
    "moved": Failure(301, "", "text/html"),
    "failing-proxy": Failure(502, PAGE, "text/html"),
}


class BrokenUpstream:
    """Listens on a free port from `start` to `stop`. `asked` has the failures that it answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._fail()

            def do_GET(self) -> None:
                self._fail()

            def _fail(self) -> None:
                name = self.path.split("/")[1]
                upstream.asked.append(name)
                failure = FAILURES[name]
                data = failure.body.encode()
                self.send_response(failure.status)
                self.send_header("Content-Type", failure.mimetype)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> BrokenUpstream:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
