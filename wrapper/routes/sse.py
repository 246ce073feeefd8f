"""Streams: chunks sent as server-sent events, with heartbeats, until the client leaves."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import Response

from wrapper.errors import ApiError, ClientGone
from wrapper.routes.context import request_id
from wrapper.routes.headers import note_headers
from wrapper.services import resources
from wrapper.services.fronts.presenter import Presenter
from wrapper.services.turns.run import Run

HEARTBEAT_SECONDS = 10.0
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stream:
    """The chunks of an answer, with None among them when nothing has come for a while.

    It must be closed, and can be closed at any time. Iterating over it yields the chunks alone, and
    closes it after the last one; so does the end of a `with`. `notes`, by header name, say where
    the answer is not quite what the client asked for. `failure` returns the chunk for an error.
    """

    chunks: Iterator[dict[str, Any] | None]
    close: Callable[[], None]
    notes: Mapping[str, str]
    failure: Callable[[ApiError], dict[str, Any]] = ApiError.body

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self:
            yield from (chunk for chunk in self.chunks if chunk is not None)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_stream(run: Run, presenter: Presenter) -> Stream:
    """Return the stream that *presenter* makes of *run*.

    It waits until the model has begun to answer, for HEARTBEAT_SECONDS at most. An error before
    that is raised here, so that it still becomes the status of the response.
    """
    with ExitStack() as closing:
        closing.enter_context(run)
        run.wait_for_first_event(HEARTBEAT_SECONDS)
        notes = note_headers(run.notes())
        closing.pop_all()
    return Stream(presenter.chunks(run), run.close, notes, presenter.failure)


def stream_response(stream: Stream, heartbeat: float = HEARTBEAT_SECONDS) -> Response:
    """Return a response that sends the stream's chunks as they come.

    After *heartbeat* seconds of silence it sends a comment. The stream is closed at the end,
    whatever ends it.
    """
    events = _events(stream, heartbeat, request_id())
    response = Response(events, headers={**HEADERS, **stream.notes})
    # A body that nobody begins to read never runs its `finally`.
    response.call_on_close(stream.close)
    return response


def _events(stream: Stream, heartbeat: float, id_: str) -> Iterator[bytes]:
    # A stream that begins with silence has already been held back for as long as a heartbeat.
    last = time.monotonic() - heartbeat
    try:
        for chunk in stream.chunks:
            now = time.monotonic()
            if chunk is not None:
                last = now
                yield encode(chunk)
            elif now - last >= heartbeat:
                last = now
                yield PING
        yield DONE
    except ClientGone:
        pass
    except ApiError as error:
        yield encode(stream.failure(error))
    except Exception as error:
        log.exception("request %s failed in mid-stream", id_)
        yield encode(stream.failure(resources.lack(error) or _crash(id_)))
    finally:
        stream.close()


def _crash(id_: str) -> ApiError:
    return ApiError(f"The gateway failed; its log says why, at {id_}.")


def encode(data: dict[str, Any]) -> bytes:
    """Return *data* as one event: a line of JSON and an empty line."""
    return f"data: {_write(data)}\n\n".encode()
