"""The presenter of Anthropic's Messages API: passes the events of the model's API on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wrapper.errors import ApiError, BadGateway
from wrapper.json_text import Json
from wrapper.services.events import RawEvent
from wrapper.services.fronts.message_errors import error_body
from wrapper.services.fronts.message_fold import MessageFold
from wrapper.services.fronts.presenter import Items


@dataclass(frozen=True)
class MessagesPresenter:
    """Writes one message. Errors in the middle of a stream name the request by its id."""

    request_id: str = ""

    def whole(self, items: Items) -> Json:
        """Return the whole message, once *items* have ended."""
        fold = MessageFold()
        for event in self.chunks(items):
            if event is not None:
                fold.add(event)
        if not (message := fold.whole()):
            raise BadGateway("The turn ended without an answer.")
        return message

    def chunks(self, items: Items) -> Iterator[Json | None]:
        """Yield the events of the model's API as they came, and None for each None."""
        for item in items:
            if item is None:
                yield None
            elif isinstance(item[1], RawEvent):
                yield dict(item[1].data)

    def failure(self, error: ApiError) -> Json:
        """Return the event for an error."""
        return error_body(error, self.request_id)

    def keepalive(self) -> Json:
        """Return the API's own event for a time of silence; some clients' timers need one."""
        return {"type": "ping"}
