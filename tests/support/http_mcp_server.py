"""An MCP server over HTTP, without any package, that misbehaves as its URL's path says.

Kinds: good, many (a thousand tools), silent, garbage, html, flood, compressed, redirects (to
another address), refuses (the login), dies and hangs (in a call), wrong (its result of a call), sse
(good, over server-sent events).
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

METADATA = "http://169.254.169.254/latest/meta-data"
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


class HttpMcpServer(ThreadingHTTPServer):
    """Listens on loopback. `seen` are the methods and headers of all requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()
        # What the last stream of events is to send; None ends it.
        self.stream: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def url(self, kind: str, host: str = "localhost") -> str:
        return f"http://{host}:{self.server_address[1]}/{kind}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that a client has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: HttpMcpServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((message["method"], dict(self.headers)))
        kind = self.path.partition("?")[0].strip("/")
        if kind in _FAULTS:
            _FAULTS[kind](self)
        elif "id" not in message:
            self._send(202, b"")
        elif message["method"] == "tools/call" and kind in ("dies", "hangs"):
            if kind == "hangs":
                self.server.over.wait()
            self.close_connection = True
            self.connection.close()
        else:
            self._answer(message["id"], _result(kind, message))

    def do_GET(self) -> None:
        if self._is_sse:
            self._stream()
        else:
            self._send(405, b"")

    do_DELETE = do_GET  # noqa: N815 - the name that http.server looks for

    @property
    def _is_sse(self) -> bool:
        return self.path.partition("?")[0] == "/sse"

    def _answer(self, id_: Any, result: Any) -> None:
        answer = json.dumps({"jsonrpc": "2.0", "id": id_, "result": result})
        if self._is_sse:
            self.server.stream.put(f"event: message\ndata: {answer}\n\n")
            self._send(202, b"")
        else:
            self._send(200, answer.encode())

    def _stream(self) -> None:
        stream: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.server.stream = stream
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        stream.put("event: endpoint\ndata: /sse\n\n")
        while (event := stream.get()) is not None:
            self.wfile.write(event.encode())
        self.close_connection = True

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Type": "application/json", **given}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _flood(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.over.is_set():
                self.wfile.write(b"data: " + b"x" * 65536)
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


_FAULTS = {
    "silent": lambda handler: handler.server.over.wait(),
    "garbage": lambda handler: handler._send(200, b"{] Welcome!"),
    "html": lambda handler: handler._send(200, b"<p>Hello", Content_Type="text/html"),
    "refuses": lambda handler: handler._send(401, b"{}"),
    "redirects": lambda handler: handler._send(307, b"", Location=METADATA),
    "compressed": lambda handler: handler._send(200, b"\x1f\x8b", Content_Encoding="gzip"),
    "flood": _Handler._flood,
}


def _result(kind: str, message: dict[str, Any]) -> Any:
    parameters = message.get("params") or {}
    if message["method"] == "initialize":
        version = parameters["protocolVersion"]
        info = {"name": "bare", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    if message["method"] == "tools/list":
        names = [f"tool{number}" for number in range(1000)] if kind == "many" else ["ping"]
        return {"tools": [{"name": name, "inputSchema": SCHEMA} for name in names]}
    if kind == "wrong":
        return {"content": "none"}
    text = (parameters.get("arguments") or {}).get("text")
    return {"content": [{"type": "text", "text": f"pong {text}"}]}


@contextlib.contextmanager
def serving() -> Iterator[HttpMcpServer]:
    """Serve until the block ends."""
    with HttpMcpServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.stream.put(None)
            server.shutdown()
            thread.join()
