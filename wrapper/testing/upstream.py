"""A scripted Anthropic Messages API on loopback, with its Bedrock and Vertex routes.

It is as strict as the real API (`rules`), answers what the last user message asks for
(`script`), and records every request with its raw body.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from wrapper.routes.connection import hang_up_probe
from wrapper.testing.answer import ERRORS, answer_events, count_words, error_body
from wrapper.testing.garbage import spoil
from wrapper.testing.rules import Refusal, check
from wrapper.testing.script import Script, read_script
from wrapper.testing.thinking_rules import check_thinking

Encoder = Callable[[dict[str, Any]], bytes]

# How often an answer that waits looks whether it is released.
SLICE_SECONDS = 0.1


@dataclass
class Recorded:
    """A received request. `ended` is "done", "refused", "aborted" or "cut", and None before."""

    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any] = field(default_factory=dict)
    ended: str | None = None


class Upstream:
    """The scripted API. `start()` serves it in threads, and `requests` are the requests so far.

    `window` is the context window of its models in tokens, which are words here; None for no limit.
    `headers` are those of all its answers.
    """

    def __init__(self, port: int = 0, window: int | None = None):
        self.requests: list[Recorded] = []
        self.window = window
        self.headers: dict[str, str] = {}
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", port, self._app(), threaded=True, request_handler=_Handler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> Upstream:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def clear(self) -> None:
        with self._changed:
            self.requests.clear()
        self._released.clear()

    def release(self) -> None:
        """End the waits, pauses and stalls of all answers, until `clear`."""
        self._released.set()

    def wait_for(self, holds: Callable[[list[Recorded]], bool], seconds: float = 60.0) -> bool:
        """Wait until *holds* is true for the requests; return whether that was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(self.requests), seconds)

    def _app(self) -> Flask:
        app = Flask("upstream")
        app.post("/v1/messages")(self._messages)
        app.post("/model/<path:model>/invoke-with-response-stream")(self._bedrock)
        app.post("/<path:_>/publishers/anthropic/models/<model>:streamRawPredict")(self._vertex)
        return app

    def _messages(self) -> Response:
        body = request.get_json()
        return self._respond(body, body.get("model", ""), _sse, "text/event-stream")

    def _bedrock(self, model: str) -> Response:
        return self._respond(
            request.get_json(), model, _aws_frame, "application/vnd.amazon.eventstream"
        )

    def _vertex(self, model: str, _: str) -> Response:
        return self._respond(request.get_json(), model, _sse, "text/event-stream")

    def _respond(
        self, body: dict[str, Any], model: str, encode: Encoder, mimetype: str
    ) -> Response:
        record = Recorded(request.full_path, dict(request.headers), request.get_data(), body)
        script = read_script(body)
        with self._changed:
            earlier = [r.raw for r in self.requests]
            self.requests.append(record)
            self._changed.notify_all()
        try:
            check(body, model)
            check_thinking(body, model)
            self._check_window(body)
            if applies := script.family in model:
                _raise_scripted_error(script, record.raw, earlier)
        except Refusal as refusal:
            return self._refuse(record, refusal, script.after)
        gone = _watch(request.environ)
        if self._wait(script.wait if applies else 0.0, gone):
            self._end(record, "aborted")
            return Response(status=499)
        if script.drop:
            self._end(record, "cut")
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        stream = self._stream(record, script, model, encode, gone)
        if script.garbage:
            mimetype, stream = spoil(script.garbage, list(stream))
        return Response(stream, headers=self.headers, mimetype=mimetype)

    def _check_window(self, body: dict[str, Any]) -> None:
        tokens = count_words(body)
        if self.window is not None and tokens > self.window:
            raise Refusal(f"prompt is too long: {tokens} tokens > {self.window} maximum")

    def _refuse(self, record: Recorded, refusal: Refusal, after: int | None) -> Response:
        self._end(record, "refused")
        text = json.dumps(error_body(refusal.kind, str(refusal)))
        headers = dict(self.headers)
        if after is not None:
            headers["Retry-After"] = str(after)
        return Response(text, refusal.status, headers, mimetype="application/json")

    def _stream(
        self,
        record: Recorded,
        script: Script,
        model: str,
        encode: Encoder,
        gone: Callable[[float], bool],
    ) -> Iterator[bytes]:
        ended = "aborted"
        try:
            for pause, event in answer_events(script, record.body, model):
                if self._wait(pause, gone):
                    return
                yield encode(event)
            ended = "cut" if script.cut else "done"
            if script.cut:
                raise ConnectionAbortedError
        finally:
            self._end(record, ended)

    def _wait(self, seconds: float, gone: Callable[[float], bool]) -> bool:
        """Wait that long, or until `release`, and return whether the client has left."""
        while seconds > SLICE_SECONDS and not self._released.is_set():
            if gone(SLICE_SECONDS):
                return True
            seconds -= SLICE_SECONDS
        return gone(0.0 if self._released.is_set() else seconds)

    def _end(self, record: Recorded, how: str) -> None:
        with self._changed:
            record.ended = how
            self._changed.notify_all()


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        """Log nothing: `requests` is the log."""


def _raise_scripted_error(script: Script, raw: bytes, earlier: list[bytes]) -> None:
    over = script.failures is not None and earlier.count(raw) >= script.failures
    if script.burst is not None:
        over = raw in earlier or len(set(earlier)) >= script.burst
    if script.error and not over:
        kind, reason = ERRORS.get(script.error, ("api_error", f"scripted {script.error}"))
        raise Refusal(script.reason or reason, script.error, kind)


def _watch(environ: dict[str, Any]) -> Callable[[float], bool]:
    """Return a function that waits some seconds and returns whether the client has left."""
    return hang_up_probe(environ["werkzeug.socket"])


def _sse(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _aws_frame(event: dict[str, Any]) -> bytes:
    """Return *event* as a frame of `application/vnd.amazon.eventstream`."""
    inner = base64.b64encode(json.dumps(event).encode()).decode()
    payload = json.dumps({"bytes": inner}).encode()
    names = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(">B", len(k)) + k.encode() + struct.pack(">BH", 7, len(v)) + v.encode()
        for k, v in names.items()
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return head + struct.pack(">I", zlib.crc32(head))
