"""The directory store: the content of each file in a file of its own."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from wrapper.errors import ApiError, StorageFull, Unavailable
from wrapper.services.files.store import PIECE_BYTES
from wrapper.services.sqlite_file import make_folder

SETTING = "FILES_DIR"


class DirectoryContents:
    """FileContents in the directory *folder*, which is created on first use."""

    def __init__(self, folder: str):
        self._folder = folder

    def create(self, id_: str) -> _Writer:
        with _errors():
            path = self._path(id_)
            make_folder(path.parent)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            return _Writer(os.fdopen(descriptor, "wb"))

    def read(self, id_: str, start: int, stop: int) -> _Pieces | None:
        with _errors():
            try:
                file = self._path(id_).open("rb")
            except FileNotFoundError:
                return None
            file.seek(start)
            return _Pieces(file, stop - start)

    def delete(self, id_: str) -> None:
        with _errors():
            self._path(id_).unlink(missing_ok=True)

    def close(self) -> None:
        """There is nothing to close."""

    def _path(self, id_: str) -> Path:
        return Path(self._folder).expanduser().absolute() / id_


class _Writer:
    """Writes *file*, and closes it."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def write(self, data: bytes) -> None:
        with _errors():
            self._file.write(data)

    def finish(self, expires_at: float) -> None:
        with _errors():
            self._file.close()  # writes what is buffered

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what is buffered may have no room
            self._file.close()


class _Pieces:
    """The next *size* bytes of *file*."""

    def __init__(self, file: BinaryIO, size: int):
        self._file = file
        self._left = size

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> bytes:
        with _errors():
            data = self._file.read(min(PIECE_BYTES, self._left))
        self._left -= len(data)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Raise StorageFull or Unavailable, which do not show where the directory is."""
    try:
        yield
    except OSError as error:
        raise _error(error) from None
    except RuntimeError as error:  # no home directory for ~
        raise Unavailable(f"{SETTING}: {error}; set it to a directory") from None


def _error(error: OSError) -> ApiError:
    reason = f"{SETTING}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"{reason}; the gateway's operator must make room", details=str(error))
    remedy = "the gateway's operator must let it write there, or set another directory"
    return Unavailable(f"{reason}; {remedy}", details=str(error))
