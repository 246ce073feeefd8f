"""The turn of a response: what it continues, and how it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wrapper.ids import new_id
from wrapper.json_text import Json
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.fronts.responses import NOT_KEPT, ResponseRequest
from wrapper.services.responses.codec import pack, to_text
from wrapper.services.responses.history import as_kept
from wrapper.services.responses.record import ResponseRecord
from wrapper.services.responses.records import Records


@dataclass
class ResponseTurn:
    """A response that *request* asks for. Its id ends in `token`.

    It is kept in *records* with its *input*, after the responses on *path*, whose JSON has *size*
    bytes. With it they may have *max_bytes*. `notes` name the parameter store if it is not kept.
    *kept* is called with the response once it is.
    """

    request: ResponseRequest
    records: Records
    input: Sequence[Json]
    path: tuple[str, ...]
    size: int
    max_bytes: int
    kept: Callable[[Json], None]
    notes: Notes = NO_NOTES
    token: str = field(default_factory=lambda: new_id(""))

    def relocated(self, notes: Notes) -> Notes:
        """Return *notes*, and those on storing it, with the paths of its request."""
        return (notes | self.notes).relocated(self.request.locate)

    def keep(self, response: Json) -> bool:
        """Store *response*, unless it is too large, and say whether it is stored.

        Raises Unavailable.
        """
        head = {name: value for name, value in response.items() if name != "output"}
        parts = (head, response["output"], [*as_kept(self.input, self.token)])
        texts = [to_text(part) for part in parts]
        size = self.size + sum(map(len, texts))
        kept = size <= self.max_bytes and self.records.put(
            response["id"], ResponseRecord(self.path, size, *map(pack, texts))
        )
        self.notes = NO_NOTES if kept else NOT_KEPT
        if kept:
            self.kept(response)
        return kept
