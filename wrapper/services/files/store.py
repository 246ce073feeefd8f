"""The protocols of the stores of files: one keeps the records, the other the contents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from wrapper.services.files.file import StoredFile

# The bytes that are read or kept in one piece.
PIECE_BYTES = 1024 * 1024
# The bytes that a file takes at least, on most disks.
LEAST_BYTES = 4096


@dataclass(frozen=True)
class Room:
    """How many `bytes` and `files` an owner may have."""

    bytes: int
    files: int


class FileRecords(Protocol):
    """Keeps the records of files by owner and id. Threads and processes may share it.

    Each file takes LEAST_BYTES more than it has. All methods but `close` raise Unavailable or
    StorageFull.
    """

    def reserve(self, owner: str, id_: str, size: int, until: float, room: Room) -> bool:
        """Reserve *size* bytes for a file that is being stored, in place of what it reserved.

        Return False, and change nothing, if the owner's files would then exceed the *room*. The
        file has expired at *until*, in Unix seconds, unless its record is kept.
        """
        ...

    def put(self, file: StoredFile) -> None:
        """Keep the record of a file whose content is complete."""
        ...

    def find(self, owner: str, id_: str) -> StoredFile | None:
        """Return a record, also one that has expired."""
        ...

    def all(self, owner: str) -> list[StoredFile]:
        """Return the owner's records, also those that have expired, the oldest first."""
        ...

    def latest(self, most: int) -> list[StoredFile]:
        """Return so many records of all owners at most, those that are kept longest."""
        ...

    def ids(self, owner: str) -> Sequence[str]:
        """Return the ids of the owner's records and reservations, in any order."""
        ...

    def holds(self, owner: str, id_: str) -> bool:
        """Say whether there is a record or reservation of this id."""
        ...

    def delete(self, owner: str, id_: str) -> None:
        """Delete a record or reservation, if there is one."""
        ...

    def expired(self, now: float) -> Sequence[tuple[str, str]]:
        """Return owner and id of some records and reservations that have expired by *now*."""
        ...

    def exists(self) -> bool:
        """Say whether there may be any record, without waiting."""
        ...

    def close(self) -> None: ...


class Pieces(Iterator[bytes], Protocol):
    """The pieces of a content, which the caller closes."""

    def close(self) -> None: ...


class Writer(Protocol):
    """Takes the content of one file. All methods raise Unavailable or StorageFull."""

    def write(self, data: bytes) -> None: ...

    def finish(self, expires_at: float) -> None:
        """Make the content complete."""
        ...

    def close(self) -> None:
        """Release what the writer holds, whether the content is complete or not."""
        ...


class FileContents(Protocol):
    """Keeps the contents of files by id. All methods but `close` raise Unavailable or StorageFull.

    An id is random, and made by the gateway.
    """

    def create(self, id_: str) -> Writer:
        """Begin the content of a new file."""
        ...

    def read(self, id_: str, start: int, stop: int) -> Pieces | None:
        """Return the bytes from *start* to *stop*, or None if there is no such content."""
        ...

    def delete(self, id_: str) -> None:
        """Delete a content, whether complete or not, if there is one."""
        ...

    def close(self) -> None: ...
