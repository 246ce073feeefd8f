"""Responses in the background, as the views of responses answer about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from flask import Response, request

from wrapper.errors import ApiError, InvalidRequest
from wrapper.json_text import Bytes, Json
from wrapper.routes.connection import connection_probe
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.headers import note_headers
from wrapper.routes.json_response import reply
from wrapper.routes.located import located_errors
from wrapper.routes.open_streams import OpenStreams
from wrapper.routes.sse import TYPED, Stream, stream_response
from wrapper.schemas.responses.stored import BEFORE_ALL
from wrapper.services.fronts.responses import ResponseRequest
from wrapper.services.principal import Caller
from wrapper.services.responses.background.service import BackgroundResponses
from wrapper.services.responses.response_turn import ResponseTurn
from wrapper.services.responses.service import PREVIOUS_NOT_FOUND

_followers = OpenStreams(
    "Too many streams of responses in the background are open; close one, or read the response "
    "without stream.",
    most=128,
    most_of_caller=32,
)


def service() -> BackgroundResponses:
    """Return the service of responses in the background."""
    background: BackgroundResponses = current_gateway().work.responses
    return background


@contextmanager
def explained(asked: ResponseRequest, caller: Caller) -> Iterator[None]:
    """Say of a response that cannot be continued whether it runs, or has run, in the background."""
    try:
        yield
    except InvalidRequest as error:
        previous = asked.previous_response_id
        known = previous and error.code == PREVIOUS_NOT_FOUND
        if known and (status := service().status(caller.principal, str(previous))):
            raise error.replace(
                message=f"Previous response with id {previous!r} is {status} in the background; "
                "continue one that is completed or incomplete."
            ) from None
        raise


def begin(turn: ResponseTurn, body: Bytes, caller: Caller) -> Response:
    """Queue the response of *turn*, and return it, or a stream of its events if that is asked."""
    leave = _followers.enter(caller.principal.name) if turn.request.request.stream else None
    try:
        with located_errors(turn.request.locate):
            queued, notes = service().begin(turn, body, caller)
        headers = note_headers(notes)
        if leave:
            return _stream(queued["id"], BEFORE_ALL, leave, headers)
    except BaseException:
        if leave:
            leave()
        raise
    return reply(queued, headers=headers)


def follow(id_: str, after: int) -> Response:
    """Return a stream of the events of a response with a number above *after*."""
    leave = _followers.enter(principal().name)
    try:
        return _stream(id_, after, leave)
    except BaseException:
        leave()
        raise


def _stream(
    id_: str, after: int, leave: Callable[[], None], headers: Mapping[str, str] = {}
) -> Response:
    drains: Callable[[], bool] = current_gateway().lifecycle.drains
    gone = connection_probe(request.environ)
    follower = _Follower(
        service().follow(principal(), id_, after), lambda: gone() or drains(), after
    )
    stream = Stream(
        follower.chunks(),
        leave,
        headers,
        failure=follower.failure,
        keepalive=follower.keepalive,
        framing=TYPED,
    )
    return stream_response(stream)


class _Follower:
    """Sends *events* until they end, or *ends* says so where none has come for a while.

    *last* is the number of the event that the client has got last.
    """

    def __init__(self, events: Iterator[Json | None], ends: Callable[[], bool], last: int):
        self._events = events
        self._ends = ends
        self._last = last

    def chunks(self) -> Iterator[Json | None]:
        for event in self._events:
            if event:
                self._last = event["sequence_number"]
            elif self._ends():
                return
            yield event

    def keepalive(self) -> Json:
        """Return the event for a time of silence. It has no number of its own."""
        return {"type": "keepalive", "sequence_number": self._last}

    def failure(self, error: ApiError) -> Json:
        """Return the event that ends the stream because of *error*. The response may go on."""
        reason = {"code": error.code, "message": error.message, "param": error.param}
        return {"type": "error", "sequence_number": self._last, **reason}
