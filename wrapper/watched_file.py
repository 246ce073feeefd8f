"""A text file that is read again whenever it has changed."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from wrapper.settings import SettingsError, utf8

T = TypeVar("T")

log = logging.getLogger(__name__)


class Unreadable(SettingsError):
    """Raised when a file is missing or cannot be read, which may end without a change of it."""


class WatchedFile(Generic[T]):
    """What *read* returns for the file at *path*, read again whenever the file has changed.

    If the first reading raises SettingsError, so does this. If a later one does, the previous value
    stays, and the log says *broken* and why. *setting* names the file there, and *count* says how
    much a value holds. Threads may share it.
    """

    def __init__(
        self,
        path: str | Path,
        read: Callable[[Path], T],
        *,
        setting: str,
        broken: str,
        count: Callable[[T], str],
    ):
        self._path = Path(path).expanduser().absolute()
        self._read = read
        self._setting = setting
        self._broken = broken
        self._count = count
        self._lock = threading.Lock()
        # The stamp and the mistakes of the last reading, so that each is logged once.
        self._last_reading: tuple[Any, list[str]] = (None, [])
        # The stamp is taken before the file is read. At worst it is too old, and leads to one more
        # reading.
        self._known_stamp: tuple[int, ...] | None = self._stamp()
        self._value = read(self._path)

    def value(self) -> T:
        """Return the value of the file as it is now."""
        self._refresh()
        return self._value

    def is_broken(self) -> bool:
        """Say whether the value is that of an earlier text, since the current one is wrong."""
        self._refresh()
        return bool(self._last_reading[1])

    def _refresh(self) -> None:
        if self._stamp() == self._known_stamp:
            return
        # One thread reads while the others wait, so that none of them uses what was revoked.
        with self._lock:
            if self._stamp() != self._known_stamp:
                self._reload()

    def _reload(self) -> None:
        stamp = self._stamp()
        mistakes: list[str] = []
        # After a failure such as too many open files, an unchanged file may become readable.
        readable = True
        try:
            self._value = self._read(self._path)
            log.info("%s has changed, %s", self._setting, self._count(self._value))
        except SettingsError as error:
            mistakes, readable = error.mistakes, not isinstance(error, Unreadable)
            if (stamp, mistakes) != self._last_reading:
                log.error("%s: %s", self._broken, error)
        self._last_reading = (stamp, mistakes)
        # This comes last: it tells other threads that the value is current.
        self._known_stamp = stamp if readable or not stamp else None

    def _stamp(self) -> tuple[int, ...]:
        """Return what identifies this state of the file; an empty tuple if it is missing."""
        try:
            status = os.stat(self._path)
        except OSError:
            return ()
        # A change of mode, which can make the file readable, changes only its ctime.
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def read_text(path: Path, how_to_make: str) -> str:
    """Return the text of the file at *path*.

    Raises Unreadable, or ValueError if it is not UTF-8. Their messages say what is wrong with the
    path, and *how_to_make* says how to make a missing file.
    """
    try:
        # Opening a pipe could block forever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable([f"{path} is not a regular file; set another path"])
        return utf8.decode(path.read_bytes())
    except FileNotFoundError:
        raise Unreadable([f"{path} does not exist; {how_to_make}"]) from None
    except OSError as error:
        remedy = f"permit the user {os.getuid()} to read it"
        raise Unreadable([f"{path} cannot be read ({error.strerror}); {remedy}"]) from None
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None
