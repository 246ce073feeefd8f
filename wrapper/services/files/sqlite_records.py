"""The SQLite store: the records of files in a file beside their contents."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from wrapper.errors import StorageFull
from wrapper.services.files.file import StoredFile
from wrapper.services.files.store import LEAST_BYTES, Room
from wrapper.services.sqlite_file import REMEDIES, SqliteFile
from wrapper.services.store_health import StoreFailed

SETTING = "FILES_DIR"
CREATE = """
CREATE TABLE IF NOT EXISTS files (
    owner TEXT NOT NULL, id TEXT NOT NULL, size INTEGER NOT NULL, expires REAL NOT NULL,
    record TEXT, PRIMARY KEY (owner, id)
)
"""
INDEX = "CREATE INDEX IF NOT EXISTS files_by_expiry ON files (expires)"
TAKEN = "SELECT COUNT(*), IFNULL(SUM(size), 0) FROM files WHERE owner = ? AND id != ?"
PUT = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)"
FIND = "SELECT record FROM files WHERE owner = ? AND id = ? AND record IS NOT NULL"
ALL = "SELECT record FROM files WHERE owner = ? AND record IS NOT NULL ORDER BY rowid"
LATEST = (
    "SELECT record FROM files WHERE record IS NOT NULL ORDER BY expires DESC, rowid DESC LIMIT ?"
)
IDS = "SELECT id FROM files WHERE owner = ?"
HOLDS = "SELECT 1 FROM files WHERE owner = ? AND id = ?"
DELETE = "DELETE FROM files WHERE owner = ? AND id = ?"
EXPIRED = "SELECT owner, id FROM files WHERE expires <= ? LIMIT 1000"


class SqliteFileRecords:
    """FileRecords in the SQLite file at *path*, which is opened on first use."""

    def __init__(self, path: str):
        self._file = SqliteFile(path, (CREATE, INDEX), SETTING)

    def reserve(self, owner: str, id_: str, size: int, until: float, room: Room) -> bool:
        size += LEAST_BYTES
        with _noticing_a_full_disk(), self._file.changing() as connection:
            files, taken = connection.execute(TAKEN, (owner, id_)).fetchone()
            fits = files < room.files and taken + size <= room.bytes
            if fits:
                connection.execute(PUT, (owner, id_, size, until, None))
        return bool(fits)

    def put(self, file: StoredFile) -> None:
        size = file.size + LEAST_BYTES
        with _noticing_a_full_disk(), self._file.opened() as connection:
            values = (file.owner, file.id, size, file.expires_at, file.encode())
            connection.execute(PUT, values)

    def find(self, owner: str, id_: str) -> StoredFile | None:
        with _noticing_a_full_disk(), self._file.opened() as connection:
            row = connection.execute(FIND, (owner, id_)).fetchone()
        return StoredFile.decode(row[0]) if row else None

    def all(self, owner: str) -> list[StoredFile]:
        with _noticing_a_full_disk(), self._file.opened() as connection:
            rows = connection.execute(ALL, (owner,)).fetchall()
        return [StoredFile.decode(record) for (record,) in rows]

    def latest(self, most: int) -> list[StoredFile]:
        with _noticing_a_full_disk(), self._file.opened() as connection:
            rows = connection.execute(LATEST, (most,)).fetchall()
        return [StoredFile.decode(record) for (record,) in rows]

    def ids(self, owner: str) -> Sequence[str]:
        with _noticing_a_full_disk(), self._file.opened() as connection:
            return [id_ for (id_,) in connection.execute(IDS, (owner,))]

    def holds(self, owner: str, id_: str) -> bool:
        with _noticing_a_full_disk(), self._file.opened() as connection:
            return connection.execute(HOLDS, (owner, id_)).fetchone() is not None

    def delete(self, owner: str, id_: str) -> None:
        with _noticing_a_full_disk(), self._file.opened() as connection:
            connection.execute(DELETE, (owner, id_))

    def expired(self, now: float) -> Sequence[tuple[str, str]]:
        with _noticing_a_full_disk(), self._file.opened() as connection:
            return connection.execute(EXPIRED, (now,)).fetchall()

    def exists(self) -> bool:
        return self._file.exists()

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def _noticing_a_full_disk() -> Iterator[None]:
    """Raise StorageFull instead of StoreFailed where the disk is full."""
    try:
        yield
    except StoreFailed as error:
        if error.message.endswith(REMEDIES[sqlite3.SQLITE_FULL]):
            raise StorageFull(error.message, details=error.details) from None
        raise
