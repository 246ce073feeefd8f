"""Streams: chunks sent as server-sent events, with heartbeats, until the client leaves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import Response

from wrapper.errors import ApiError, ClientGone
from wrapper.json_text.encoding import encode
from wrapper.notes import Notes
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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Framing:
    """How an API writes its events: whether `event:` names their type, and what ends them.

    `encode` writes one as JSON.
    """

    named: bool = False
    end: bytes = DONE
    encode: Callable[[dict[str, Any]], str] = encode

    def frame(self, data: dict[str, Any]) -> bytes:
        """Return *data* as one event: its name if events have one, a line of JSON, a blank line."""
        name = f"event: {data['type']}\n" if self.named else ""
        return f"{name}data: {self.encode(data)}\n\n".encode()


CHAT = Framing()
# The framing of APIs whose events have a type, and end with the last of them.
TYPED = Framing(named=True, end=b"")


@dataclass(frozen=True)
class Stream:
    """The chunks of an answer, with None among them when nothing has come for a while.

    It must be closed, and can be closed at any time. Iterating over it yields the chunks alone, and
    closes it after the last one; so does the end of a `with`. `notes`, by header name, say where
    the answer is not quite what the client asked for. `failure` returns the chunk for an error,
    and `keepalive` the one for a time of silence, or None for a comment.
    """

    chunks: Iterator[dict[str, Any] | None]
    close: Callable[[], None]
    notes: Mapping[str, str]
    failure: Callable[[ApiError], dict[str, Any]] = ApiError.body
    keepalive: Callable[[], dict[str, Any] | None] = lambda: None
    framing: Framing = CHAT

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self:
            yield from (chunk for chunk in self.chunks if chunk is not None)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_stream(
    run: Run,
    presenter: Presenter,
    name_notes: Callable[[Notes], dict[str, str]] = note_headers,
    framing: Framing = CHAT,
) -> Stream:
    """Return the stream that *presenter* makes of *run*.

    It waits until the model has begun to answer, for HEARTBEAT_SECONDS at most. An error before
    that is raised here, so that it still becomes the status of the response.
    """
    with ExitStack() as closing:
        closing.enter_context(run)
        run.wait_for_first_event(HEARTBEAT_SECONDS)
        notes = name_notes(run.notes())
        closing.pop_all()
    return Stream(
        presenter.chunks(run),
        run.close,
        notes,
        failure=presenter.failure,
        keepalive=presenter.keepalive,
        framing=framing,
    )


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
    frame = stream.framing.frame
    try:
        for chunk in stream.chunks:
            now = time.monotonic()
            if chunk is not None:
                last = now
                yield frame(chunk)
            elif now - last >= heartbeat:
                last = now
                yield frame(ping) if (ping := stream.keepalive()) else PING
        if end := stream.framing.end:
            yield end
    except ClientGone:
        pass
    except ApiError as error:
        yield frame(stream.failure(error))
    except Exception as error:
        log.exception("request %s failed in mid-stream", id_)
        yield frame(stream.failure(resources.lack(error) or _crash(id_)))
    finally:
        stream.close()


def _crash(id_: str) -> ApiError:
    return ApiError(f"The gateway failed; its log says why, at {id_}.")
