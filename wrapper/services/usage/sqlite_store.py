"""The SQLite store: what was spent, in one file that the processes of a machine share."""

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

MENDS = {
    sqlite3.SQLITE_NOTADB: "move the file away, and a new one is made",
    sqlite3.SQLITE_CORRUPT: "move the file away, and a new one is made",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_BUSY: "another process holds it; see which with `fuser`",
}
OTHER_MEND = "see that the file and its directory can be written, or set USAGE_DB to another"

# Beside the system's and SQLite's own: no home directory for ~, and a number of over 64 bits.
FAILURES = (sqlite3.Error, OSError, RuntimeError, OverflowError)


class SqliteUsageStore:
    """A UsageStore in the file at *path*, which is opened, and made where it is missing, when used.

    What is added survives the death of the process; the last of it may go where the power fails.
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
                found = connection.execute(READ, (first, last)).fetchall()
            else:
                found = connection.execute(READ_KEY, (key, first, last)).fetchall()
        return [Row(day, name, model, Amounts(*n)) for day, name, model, *n in found if any(n)]

    def close(self) -> None:
        """Close what nobody is using."""
        while opened := self._pop():
            opened.close()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one thread; after a failure all of them are opened anew."""
        try:
            with contextlib.ExitStack() as on_failure:
                opened = self._take()
                on_failure.callback(opened.close)  # which rolls back
                yield opened.connection
                on_failure.pop_all()
        except FAILURES as error:
            self.close()
            raise _failed(error, self._path) from None
        self._idle.append(opened)

    def _take(self) -> _Opened:
        path = Path(self._path).expanduser().absolute()
        there = _identity(path)
        while opened := self._pop():
            # A file that was deleted or replaced would go on taking rows that nobody can find.
            if opened.identity == there:
                return opened
            opened.close()
        return _Opened(path)

    def _pop(self) -> _Opened | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


class _Opened:
    """A connection, and which file it is to."""

    def __init__(self, path: Path):
        _make_folder(path.parent)
        with _alone(path.parent):
            with contextlib.suppress(FileExistsError):
                # Made without opening it: to close the file, even once, would give up the locks
                # that this process's other connections have on it.
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


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one thread of one process at a time open files of *folder*.

    Two that turn a new file to WAL at once do not wait for each other: one fails as locked.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _make_folder(folder: Path) -> None:
    """Make *folder* and its parents, where they are missing, for this user alone."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(0o700, exist_ok=True)


def _failed(error: Exception, path: str) -> StoreFailed:
    mend = OTHER_MEND
    reason = str(error)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension
        mend = MENDS.get(code, OTHER_MEND)
    elif isinstance(error, OSError):
        reason = error.strerror or reason
    return StoreFailed(f"USAGE_DB: {reason}; {mend}", path)
