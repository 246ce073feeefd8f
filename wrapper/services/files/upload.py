"""A file that is being stored."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from wrapper.errors import ApiError, RequestTooLarge
from wrapper.services.files.file import StoredFile, missing, new_file_id
from wrapper.services.files.store import FileContents, FileRecords

# A reservation is renewed whenever so many bytes have come, and ends this time after its renewal. A
# client that is slower than that loses its connection.
STEP_BYTES = 8 * 1024 * 1024
RESERVED_SECONDS = 3600


@dataclass(frozen=True)
class Stores:
    """The records of files, and their contents."""

    records: FileRecords
    contents: FileContents

    def delete(self, owner: str, id_: str) -> None:
        """Delete a file. If the process dies meanwhile, the record is left, which expires."""
        self.contents.delete(id_)
        self.records.delete(owner, id_)


class Upload:
    """A new file of *owner* in *stores*; on exit it is deleted, unless it is finished.

    *most* are the bytes that it may have. *reserve* reserves bytes under its id. *expected* are the
    bytes that it will have, about, if that is known.
    """

    def __init__(
        self,
        stores: Stores,
        owner: str,
        most: int,
        reserve: Callable[[str, int], None],
        expected: int = 0,
    ):
        self.id = new_file_id()
        self._stores = stores
        self._owner = owner
        self._most = most
        self._reserve = reserve
        self._expected = expected
        self._size = 0
        self._reserved = 0
        self._finished = False

    def __enter__(self) -> Upload:
        self._grow()
        try:
            self._writer = self._stores.contents.create(self.id)
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()
        if not self._finished:
            self._discard()

    def write(self, data: bytes) -> None:
        """Add *data*. Raises RequestTooLarge, QuotaExceeded, StorageFull or Unavailable.

        Raises StoredFileNotFound if all that the owner has was deleted meanwhile.
        """
        self._size += len(data)
        if self._size > self._most:
            raise too_large(self._most)
        if self._size > self._reserved:
            self._check_kept()
            self._grow()
        self._writer.write(data)

    def finish(self, name: str, purpose: str, seconds: int) -> StoredFile:
        """Keep the file for so many *seconds*, and return it. Raises what `write` raises."""
        self._check_kept()
        self._reserve(self.id, self._size)
        now = int(time.time())
        file = StoredFile(self.id, self._owner, name, purpose, self._size, now, now + seconds)
        self._writer.finish(file.expires_at)
        self._stores.records.put(file)
        self._finished = True
        return file

    def _check_kept(self) -> None:
        if not self._stores.records.holds(self._owner, self.id):
            raise missing(self.id)

    def _grow(self) -> None:
        self._reserve(self.id, max(self._expected, self._size))
        self._reserved = self._size + STEP_BYTES

    def _discard(self) -> None:
        with contextlib.suppress(ApiError):  # the reservation expires, and the rest with it
            self._stores.delete(self._owner, self.id)


def too_large(most: int) -> RequestTooLarge:
    """Return the error for a file of more than *most* bytes."""
    return RequestTooLarge(
        f"file: it is larger than {most} bytes (FILE_MAX_BYTES); split it.", param="file"
    )
