"""The records of one owner in a store, each under the id of its response."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from wrapper.errors import BadGateway, Unavailable
from wrapper.logs.redaction import Redacted
from wrapper.services.responses.codec import decode, encode
from wrapper.services.responses.record import ResponseRecord
from wrapper.services.responses.store import ResponseStore

RESPONSE_ID = re.compile(r"resp_[0-9a-f]{32}")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Records:
    """The records of *owner* in *store*; without one there are none. Reading one is a use of it.

    All methods raise Unavailable where the store cannot be reached, and BadGateway for a value that
    the gateway has not written.
    """

    store: ResponseStore | None
    owner: str

    def read(self, ids: Sequence[str]) -> list[ResponseRecord | None]:
        """Return the record of each of *ids*."""
        if self.store is None or not ids:
            return [None for _ in ids]
        records: list[ResponseRecord | None] = []
        for id_, value in zip(ids, self.store.read(self.owner, ids), strict=True):
            with readable(id_):
                records.append(decode(value) if value is not None else None)
        return records

    def find(self, id_: str) -> ResponseRecord | None:
        """Return the record of the response that a client names *id_*."""
        return self.read([id_])[0] if RESPONSE_ID.fullmatch(id_) else None

    def look_at(self, id_: str) -> ResponseRecord | None:
        """Return the record as `find` does, which is no use of it."""
        found = self.peek([id_]) if RESPONSE_ID.fullmatch(id_) else iter(())
        return next((record for _, record in found), None)

    def path_to(self, id_: str) -> list[ResponseRecord] | None:
        """Return the records from the root to *id_*, or None if one of them is gone."""
        last = self.find(id_)
        if last is None:
            return None
        # The root is used last, so that it is not dropped before what continues it.
        before = self.read(last.path[::-1])[::-1]
        path = [record for record in (*before, last) if record]
        return path if len(path) > len(before) else None

    def put(self, id_: str, record: ResponseRecord) -> bool:
        """Store *record*, unless it is too large, and say whether it is stored."""
        if self.store is None or not self.store.put(self.owner, id_, encode(record)):
            return False
        with suppress(Unavailable):  # it is stored, and they were used when its turn began
            self.touch(record.path)
        return True

    def touch(self, path: Sequence[str]) -> None:
        """Count a use of the responses on *path*, which begins at the root."""
        if self.store and path:
            self.store.touch(self.owner, path[::-1])

    def ids(self) -> Sequence[str]:
        """Return the ids of all records, those used last first."""
        return self.store.ids(self.owner) if self.store else ()

    def peek(self, ids: Sequence[str]) -> Iterator[tuple[str, ResponseRecord]]:
        """Yield the records of *ids* that are still there, which is no use of them."""
        values = self.store.peek(self.owner, ids) if self.store and ids else ()
        for id_, value in zip(ids, values, strict=bool(values)):
            if value is not None:
                with readable(id_):
                    yield id_, decode(value)

    def delete(self, id_: str) -> bool:
        """Delete a record, and say whether there was one."""
        if self.store is None or not RESPONSE_ID.fullmatch(id_):
            return False
        return self.store.delete(self.owner, id_)


@contextmanager
def readable(id_: str) -> Iterator[None]:
    """Raise BadGateway where what is stored of response *id_* cannot be read."""
    try:
        yield
    except ValueError as error:
        message = f"SESSION_STORE: what it holds of response {id_!r} cannot be read; delete it"
        log.error("%s (%s)", message, Redacted(error))
        raise BadGateway(message, code="response_unreadable", retry=False) from None
