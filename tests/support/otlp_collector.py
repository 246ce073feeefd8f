"""A collector of traces by OTLP over HTTP, on loopback, which can hang."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(ThreadingHTTPServer):
    """Keeps the `spans` that it gets. While `hangs` is set it answers nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.asked = threading.Event()
        self.hangs = threading.Event()
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def of(self, trace_id: str) -> dict[str, Span]:
        """Return the spans of a trace by their names."""
        return {span.name: span for span in [*self.spans] if span.trace_id.hex() == trace_id}

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.resources.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that a client has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        if self.server.hangs.is_set():
            self.server.over.wait()
            return
        if self.path == "/v1/traces":
            self.server.take(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


def attributes(holder: Any) -> dict[str, Any]:
    """Return the attributes of a span or a resource: their numbers and texts by name."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes
    }


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Collect until the block ends."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.over.set()
            collector.shutdown()
            thread.join()
