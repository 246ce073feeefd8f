"""The protocol of presenters: each writes a run's events in the form of one API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from wrapper.errors import ApiError
from wrapper.json_text import Json
from wrapper.services.events import Event

# Each event comes with the index of its choice. None means that nothing has come for a while.
Items = Iterable[tuple[int, Event] | None]


class Presenter(Protocol):
    """Writes the answer to one request, either whole or as a stream."""

    def whole(self, items: Items) -> Json:
        """Return the whole answer, once *items* have ended."""
        ...

    def chunks(self, items: Items) -> Iterator[Json | None]:
        """Yield the parts of a streamed answer as *items* come, and None for each None."""
        ...

    def failure(self, error: ApiError) -> Json:
        """Return the part that ends a stream when *error* is raised in its middle."""
        ...

    def keepalive(self) -> Json | None:
        """Return the part for a time of silence; None where a comment will do."""
        ...
