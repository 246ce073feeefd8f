"""The body of the current request, as the server reads it from the client."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import IO

from flask import request
from werkzeug.exceptions import ClientDisconnected, HTTPException

from wrapper.errors import MalformedRequest, RequestCut

# What gunicorn reads at once. For smaller pieces it would copy the rest of that again and again.
PIECE_BYTES = 128 * 1024
CUT = "The body ended early, or arrived too slowly (CLIENT_TIMEOUT)."


def pieces(most: int) -> Iterator[bytes]:
    """Yield the body in pieces; one that is longer than *most* bytes yields a byte more than that.

    Raises RequestCut or MalformedRequest.
    """
    request.max_content_length = most + 1
    size = 0
    for piece in _pieces_of(request.stream):
        size += len(piece)
        yield piece
    # If a hook of the app around the gateway has read the body, only `get_data` has it.
    if not size and (data := request.get_data()):
        size = len(data)
        yield from _pieces_of(io.BytesIO(data))
    check_complete(size, request.content_length)


def _pieces_of(stream: IO[bytes]) -> Iterator[bytes]:
    while True:
        with readable_body():
            piece = stream.read(PIECE_BYTES)
        if not piece:
            return
        yield piece


@contextlib.contextmanager
def readable_body() -> Iterator[None]:
    """Raise RequestCut or MalformedRequest where the body cannot be read."""
    try:
        yield
    except (OSError, ClientDisconnected):
        raise RequestCut(CUT) from None
    except (HTTPException, MemoryError):
        raise
    except Exception as error:  # malformed chunks; each server raises an exception of its own
        kind = type(error).__name__
        raise MalformedRequest(f"The body is malformed ({kind}).") from error


def check_complete(size: int, length: int | None) -> None:
    """Raise RequestCut if a body of *size* bytes should have *length*, if that is known."""
    if size < (length or 0):
        raise RequestCut(CUT)
