"""The SQLite store: usage in one file that the processes of a machine share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wrapper.services.usage.store import Amounts, Row, StoreFailed
from wrapper.services.usage.tool_counts import MAX_TOOLS, OTHER, ToolCounts, ToolRow

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
CREATE_TOOLS = """
CREATE TABLE IF NOT EXISTS tool_uses (
    day TEXT NOT NULL, key TEXT NOT NULL, tool TEXT NOT NULL,
    uses INTEGER NOT NULL, failures INTEGER NOT NULL, denials INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    PRIMARY KEY (key, day, tool)
) WITHOUT ROWID
"""
OPEN = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", CREATE, CREATE_TOOLS)
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

ADD_TOOL = """
INSERT INTO tool_uses VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    uses = uses + excluded.uses,
    failures = failures + excluded.failures,
    denials = denials + excluded.denials,
    milliseconds = milliseconds + excluded.milliseconds
"""
TOOLS_OF_MONTH = "SELECT DISTINCT tool FROM tool_uses WHERE key = ? AND day BETWEEN ? AND ?"
READ_TOOLS = """
SELECT key, tool, SUM(uses), SUM(failures), SUM(denials), SUM(milliseconds) FROM tool_uses
WHERE (?1 IS NULL OR key = ?1) AND day BETWEEN ?2 AND ?3 GROUP BY key, tool ORDER BY key, tool
"""

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
    """A UsageStore and ToolStore in the file at *path*.

    The file is opened on first use and created if it is missing.
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

    def add_tools(self, day: str, key: str, counts: Mapping[str, ToolCounts]) -> None:
        month = day[:8]
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            rows = connection.execute(TOOLS_OF_MONTH, (key, f"{month}01", f"{month}31"))
            known = {tool for (tool,) in rows}
            for tool, added in counts.items():
                name = tool if tool in known or len(known) < MAX_TOOLS else OTHER
                known.add(name)
                connection.execute(ADD_TOOL, (day, key, name, *added.values()))
            connection.execute("COMMIT")

    def read_tools(self, first: str, last: str, key: str | None = None) -> list[ToolRow]:
        with self._opened() as connection:
            rows = connection.execute(READ_TOOLS, (key, first, last)).fetchall()
        return [ToolRow(name, tool, ToolCounts(*numbers)) for name, tool, *numbers in rows]

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
