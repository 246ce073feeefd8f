"""Live parts of pages: server-sent events with a new fragment whenever it has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from flask import Response, copy_current_request_context, g, request

from wrapper.console.access import visitor
from wrapper.errors import ApiError
from wrapper.routes.connection import connection_probe
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.open_streams import OpenStreams
from wrapper.routes.sse import HEADERS, PING

SECONDS = 2.0
# How soon a stream ends when its reader leaves or the gateway shuts down.
TICK = 0.25
# Each stream holds one of the server's threads.
MOST = 64
MOST_OF_CALLER = 8
# The browser then opens another one, which counts its user's requests again.
LONGEST = 15 * 60.0
HEARTBEAT = 5


_streams = OpenStreams(
    "Too many live pages are open; close one.", most=MOST, most_of_caller=MOST_OF_CALLER
)


def stream(fragment: Callable[[], str]) -> Response:
    """Return a response that sends *fragment* now, and again whenever it has changed.

    It ends soon after its reader has left, as each page that one opens has a stream of its own.
    """
    who = principal()
    drains: Callable[[], bool] = current_gateway().lifecycle.drains
    gone = connection_probe(request.environ)
    leave = _streams.enter(who.name)

    @copy_current_request_context
    def read() -> str | None:
        """Return the fragment, or None if its reader is not signed in any more."""
        g.wrapper_principal = who
        with suppress(ApiError):
            return fragment() if visitor() == who else None
        return None

    events = _events(read, lambda: gone() or drains())
    response = Response(events, headers={**HEADERS})
    response.call_on_close(leave)
    return response


def _events(read: Callable[[], str | None], ends: Callable[[], bool]) -> Iterator[bytes]:
    shown, quiet, until = "", 0, time.monotonic() + LONGEST
    while time.monotonic() < until and (text := read()) is not None:
        quiet = 0 if text != shown else quiet + 1
        if not quiet:
            shown = text
            yield _event(text)
        elif not quiet % HEARTBEAT:
            yield PING
        if _wait(ends):
            return


def _wait(ends: Callable[[], bool]) -> bool:
    """Wait until the next event is due, and say whether the stream ends before."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and not ends():
        time.sleep(TICK)
    return ends()


def _event(text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"{lines}\n".encode()
