"""An SQLite file that the threads and processes of a machine share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from wrapper.services.store_health import StoreFailed

SETTING = "USAGE_DB"
# Seconds to wait while another process writes.
BUSY = 5.0

# A new file can shrink, by `PRAGMA incremental_vacuum`.
PRAGMAS_OF_NEW = ("PRAGMA auto_vacuum = INCREMENTAL",)
# The log shrinks after much was written.
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA journal_size_limit = {16 * 1024**2}",
)

REMEDIES = {
    sqlite3.SQLITE_NOTADB: "move the file away, and a new one is made",
    sqlite3.SQLITE_CORRUPT: "move the file away, and a new one is made",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_BUSY: "another process holds it; see which with `fuser`",
}
OTHER_REMEDY = "see that the file and its directory can be written, or set {setting} to another"

# RuntimeError: no home directory for ~. OverflowError: a number of over 64 bits.
FAILURES = (sqlite3.Error, OSError, RuntimeError, OverflowError)


class SqliteFile:
    """The file at *path*, in which the statements *create* make the missing tables.

    It is opened on first use, and created if it is missing. Errors name the *setting* of its path.
    """

    def __init__(self, path: str, create: Sequence[str], setting: str = SETTING):
        self._path = path
        self._create = create
        self._setting = setting
        self._idle: list[_Opened] = []

    def exists(self) -> bool:
        return os.path.exists(os.path.expanduser(self._path))

    def path(self) -> Path:
        """Return the absolute path. Raises RuntimeError if there is no home directory for ~."""
        return Path(self._path).expanduser().absolute()

    def identity(self) -> tuple[int, int] | None:
        """Return what tells the file from one that replaces it; None if it is missing."""
        return _identity(self.path())

    def close(self) -> None:
        """Close the idle connections."""
        while opened := self._pop():
            opened.close()

    @contextlib.contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for one thread. Raises StoreFailed.

        After an error all connections are opened anew.
        """
        try:
            with contextlib.ExitStack() as on_failure:
                opened = self._take()
                on_failure.callback(opened.close)  # closing rolls back
                yield opened.connection
                on_failure.pop_all()
        except FAILURES as error:
            self.close()
            raise failed(error, self._path, self._setting) from None
        self._idle.append(opened)

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection, and commit all that it has changed, or nothing if it raises."""
        with self.opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def _take(self) -> _Opened:
        path, current = self.path(), self.identity()
        while opened := self._pop():
            # A file that was deleted or replaced would still take rows, and nobody would find them.
            if opened.identity == current:
                return opened
            opened.close()
        return _Opened(path, self._create)

    def _pop(self) -> _Opened | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


class _Opened:
    """A connection and the identity of its file."""

    def __init__(self, path: Path, create: Sequence[str]):
        make_folder(path.parent)
        with _locked(path.parent):
            with contextlib.suppress(FileExistsError):
                # Created without opening it, because closing the file even once would release the
                # locks of this process's other connections.
                os.mknod(path, stat.S_IFREG | 0o600)
            self.identity = _identity(path)
            self.connection = sqlite3.connect(
                path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
            try:
                pragmas = PRAGMAS if path.stat().st_size else PRAGMAS_OF_NEW + PRAGMAS
                for statement in (*pragmas, *create):
                    self.connection.execute(statement)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        self.connection.close()


def check(path: Path, setting: str = SETTING) -> None:
    """Raise StoreFailed if the file at *path*, which must exist, cannot be read and written.

    That another process writes is no failure.
    """
    try:
        opened = _Opened(path, ())
        try:
            opened.connection.execute("BEGIN IMMEDIATE")
            opened.connection.execute("ROLLBACK")
        finally:
            opened.close()
    except FAILURES as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise failed(error, str(path), setting) from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock *folder*, so that one thread of one process at a time opens files in it.

    Two that switch a new file to WAL at once do not wait for each other: one fails as locked.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def make_folder(folder: Path) -> None:
    """Create *folder* and its missing parents, for this user alone."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(0o700, exist_ok=True)


def failed(error: Exception, path: str, setting: str) -> StoreFailed:
    """Return what to raise for one of FAILURES."""
    remedy = OTHER_REMEDY.format(setting=setting)
    reason = str(error)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension
        remedy = REMEDIES.get(code, remedy)
    elif isinstance(error, OSError):
        reason = error.strerror or reason
    return StoreFailed(f"{setting}: {reason}; {remedy}", path)
