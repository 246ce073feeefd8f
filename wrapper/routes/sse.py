"""Streams: chunks sent as server-sent events, with heartbeats, and ended when the client is."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

from flask import Response

from wrapper.errors import ApiError, ClientGone
from wrapper.routes.context import request_id
from wrapper.services import resources
from wrapper.services.turns.service import HEARTBEAT_SECONDS
from wrapper.services.turns.told import Stream

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}

log = logging.getLogger(__name__)


def stream_response(stream: Stream, heartbeat: float = HEARTBEAT_SECONDS) -> Response:
    """Return a response that sends the stream's chunks as they come.

    *heartbeat* is how many seconds of silence are broken by a comment. The stream is closed at
    the end, whatever ends it.
    """
    id_ = request_id()

    def body() -> Iterator[bytes]:
        try:
            yield from _events(stream.chunks, heartbeat)
        except ClientGone:
            pass
        except ApiError as error:
            yield encode(error.body())
        except Exception as error:
            log.exception("request %s failed in mid-stream", id_)
            failed = resources.lack(error) or ApiError(
                f"The gateway failed; its log says why, at {id_}."
            )
            yield encode(failed.body())
        finally:
            stream.close()

    response = Response(body(), headers={**HEADERS, **stream.notes})
    # A body that nobody began to read never runs its `finally`.
    response.call_on_close(stream.close)
    return response


def _events(chunks: Iterator[dict[str, Any] | None], heartbeat: float) -> Iterator[bytes]:
    # A stream that begins with silence was held back for a heartbeat's time already.
    last = time.monotonic() - heartbeat
    for chunk in chunks:
        now = time.monotonic()
        if chunk is not None:
            last = now
            yield encode(chunk)
        elif now - last >= heartbeat:
            last = now
            yield PING
    yield DONE


PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(data: dict[str, Any]) -> bytes:
    """Return *data* as one event: a line of JSON and an empty line."""
    return f"data: {_write(data)}\n\n".encode()
