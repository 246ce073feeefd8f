"""The SQLite store: usage in one file that the processes of a machine share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from wrapper.services.usage.store import Amounts, Row, StoreFailed

# Seconds to wait while another process writes.
BUSY = 5.0

CREATE = """
CREATE TABLE IF NOT EXISTS spent (
    day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,
    requests INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_creation INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    nanos INTEGER NOT NULL, unpriced_nanos INTEGER NOT NULL,
    PRIMARY KEY (key, day, model)
) WITHOUT ROWID
"""
OPEN = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", CREATE)
ADD = """
INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    requests = requests + excluded.requests,
    input = input + excluded.input,
    cache_read = cache_read + excluded.cache_read,
    cache_creation = cache_creation + excluded.cache_creation,
    output = output + excluded.output,
    reasoning = reasoning + excluded.reasoning,
    nanos = nanos + excluded.nanos,
    unpriced_nanos = unpriced_nanos + excluded.unpriced_nanos
"""
READ = "SELECT * FROM spent WHERE day BETWEEN ? AND ? ORDER BY day, key, model"
READ_KEY = "SELECT * FROM spent WHERE key = ? AND day BETWEEN ? AND ? ORDER BY day, model"

REMEDIES = {
    sqlite3.SQLITE_NOTADB: "move the file away, and a new one is made",
    sqlite3.SQLITE_CORRUPT: "move the file away, and a new one is made",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_BUSY: "another process holds it; see which with `fuser`",
}
OTHER_REMEDY = "see that the file and its directory can be written, or set USAGE_DB to another"

# RuntimeError: no home directory for ~. OverflowError: a number of over 64 bits.
FAILURES = (sqlite3.Error, OSError, RuntimeError, OverflowError)


class SqliteUsageStore:
    """A UsageStore in the file at *path*, which is opened on first use and created if missing.

    Added rows survive the death of the process. A power failure may lose the last of them.
    """

    def __init__(self, path: str):
        self._path = path
        self._idle: list[_Opened] = []

    def add(self, rows: Sequence[Row]) -> None:
        values = [(row.day, row.key, row.model, *row.amounts.values()) for row in rows]
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(ADD, values)
            connection.execute("COMMIT")

    def read(self, first: str, last: str, key: str | None = None) -> list[Row]:
        with self._opened() as connection:
            if key is None:
                rows = connection.execute(READ, (first, last)).fetchall()
            else:
                rows = connection.execute(READ_KEY, (key, first, last)).fetchall()
        return [Row(day, name, model, Amounts(*n)) for day, name, model, *n in rows if any(n)]

    def check(self) -> None:
        """Check that the file can be read, unless it is still to be made."""
        if os.path.exists(os.path.expanduser(self._path)):
            with self._opened() as connection:
                connection.execute(READ, ("", "")).fetchall()

    def close(self) -> None:
        """Close the idle connections."""
        while opened := self._pop():
            opened.close()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for one thread. After an error all connections are opened anew."""
        try:
            with contextlib.ExitStack() as on_failure:
                opened = self._take()
                on_failure.callback(opened.close)  # closing rolls back
                yield opened.connection
                on_failure.pop_all()
        except FAILURES as error:
            self.close()
            raise _failed(error, self._path) from None
        self._idle.append(opened)

    def _take(self) -> _Opened:
        path = Path(self._path).expanduser().absolute()
        current = _identity(path)
        while opened := self._pop():
            # A file that was deleted or replaced would still take rows, and nobody would find them.
            if opened.identity == current:
                return opened
            opened.close()
        return _Opened(path)

    def _pop(self) -> _Opened | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


class _Opened:
    """A connection and the identity of its file."""

    def __init__(self, path: Path):
        _make_folder(path.parent)
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
                for statement in OPEN:
                    self.connection.execute(statement)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        self.connection.close()


def check(path: Path) -> None:
    """Raise StoreFailed if the file at *path*, which must exist, cannot be read and written.

    That another process writes is no failure.
    """
    try:
        opened = _Opened(path)
        try:
            opened.connection.execute("BEGIN IMMEDIATE")
            opened.connection.execute("ROLLBACK")
        finally:
            opened.close()
    except FAILURES as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise _failed(error, str(path)) from None


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


def _make_folder(folder: Path) -> None:
    """Create *folder* and its missing parents, for this user alone."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(0o700, exist_ok=True)


def _failed(error: Exception, path: str) -> StoreFailed:
    remedy = OTHER_REMEDY
    reason = str(error)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension
        remedy = REMEDIES.get(code, OTHER_REMEDY)
    elif isinstance(error, OSError):
        reason = error.strerror or reason
    return StoreFailed(f"USAGE_DB: {reason}; {remedy}", path)
