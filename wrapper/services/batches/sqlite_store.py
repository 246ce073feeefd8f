"""The SQLite store: batches in the file of jobs, which the processes of a machine share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wrapper.services.batches.batch import BatchState, LineResult
from wrapper.services.batches.store import PAGE_BYTES
from wrapper.services.sqlite_file import SqliteFile

SETTING = "JOBS_DB"
CREATE = (
    """
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, forget_at REAL NOT NULL, facts TEXT NOT NULL, line_index BLOB,
    total INTEGER NOT NULL, claimed INTEGER NOT NULL, completed INTEGER NOT NULL,
    failed INTEGER NOT NULL, finalizer TEXT NOT NULL
)
""",
    # A line without data runs, or was released if it has no worker either.
    """
CREATE TABLE IF NOT EXISTS batch_lines (
    batch TEXT NOT NULL, number INTEGER NOT NULL, worker TEXT NOT NULL, completed INTEGER NOT NULL,
    data BLOB, PRIMARY KEY (batch, number)
)
""",
    "CREATE INDEX IF NOT EXISTS open_lines ON batch_lines (batch, worker) WHERE data IS NULL",
)
INSERT = "INSERT INTO batches VALUES (?, ?, '{}', NULL, 0, 0, 0, 0, '')"
READ = "SELECT total, claimed, completed, failed, facts FROM batches WHERE id = ?"
BEGIN = """
UPDATE batches SET line_index = ?, total = ?, failed = ?, facts = ? WHERE id = ? AND total = 0
"""
HAS_NOT_BEGUN = "SELECT 1 FROM batches WHERE id = ? AND total = 0"
ADD_LINE = "INSERT OR REPLACE INTO batch_lines VALUES (?, ?, '', ?, ?)"
CLAIM_RELEASED = """
UPDATE batch_lines SET worker = ?1 WHERE rowid = (
    SELECT rowid FROM batch_lines WHERE batch = ?2 AND worker = '' AND data IS NULL LIMIT 1
) RETURNING number
"""
CLAIM_NEXT = """
UPDATE batches SET claimed = claimed + 1 WHERE id = ? AND claimed < total RETURNING claimed - 1
"""
CLAIM_LINE = "INSERT OR IGNORE INTO batch_lines VALUES (?, ?, ?, 0, NULL)"
RELEASE = "UPDATE batch_lines SET worker = '' WHERE batch = ? AND number = ? AND data IS NULL"
FINISH = """
UPDATE batch_lines SET completed = ?, data = ?
WHERE batch = ? AND number = ? AND worker = ? AND data IS NULL
"""
COUNT = """
UPDATE batches SET completed = completed + ?1, failed = failed + 1 - ?1 WHERE id = ?2
"""
RUNNING = "SELECT number, worker FROM batch_lines WHERE batch = ? AND worker != '' AND data IS NULL"
RESULTS = """
SELECT number, completed, data FROM batch_lines
WHERE batch = ? AND number BETWEEN ? AND ? AND data IS NOT NULL ORDER BY number
"""
LINES_WAITING = """
SELECT ifnull(sum(total - claimed), 0) FROM batches WHERE id IN (SELECT value FROM json_each(?))
"""
CLEAR = """
DELETE FROM batch_lines WHERE rowid IN (SELECT rowid FROM batch_lines WHERE batch = ? LIMIT ?)
"""
CLEARED_AT_ONCE = 100
FORGOTTEN = "SELECT id FROM batches WHERE forget_at <= ?"
TAKE_OVER = "UPDATE batches SET finalizer = ? WHERE id = ? AND finalizer = ?"


class SqliteBatchStore:
    """A BatchStore in the file at *path*, which is opened on first use."""

    def __init__(self, path: str):
        self._file = SqliteFile(path, CREATE, SETTING)

    def create(self, id_: str, forget_at: float) -> None:
        with self._file.opened() as connection:
            connection.execute(INSERT, (id_, forget_at))

    def read(self, id_: str) -> BatchState | None:
        with self._file.opened() as connection:
            row = connection.execute(READ, (id_,)).fetchone()
        if row is None:
            return None
        total, claimed, completed, failed, facts = row
        return BatchState(total, claimed, completed, failed, json.loads(facts))

    def refuse(self, id_: str, refused: Sequence[LineResult]) -> None:
        lines = [(id_, line.number, line.completed, line.data) for line in refused]
        with self._file.changing() as connection:
            if connection.execute(HAS_NOT_BEGUN, (id_,)).fetchone():
                connection.executemany(ADD_LINE, lines)

    def begin(self, id_: str, index: bytes, total: int, refused: int, facts: Any) -> None:
        with self._file.opened() as connection:
            connection.execute(BEGIN, (index, total, refused, json.dumps(facts), id_))

    def index(self, id_: str) -> bytes:
        with self._file.opened() as connection:
            row = connection.execute(
                "SELECT line_index FROM batches WHERE id = ?", (id_,)
            ).fetchone()
        return bytes(row[0] or b"") if row else b""

    def claim(self, id_: str, worker: str) -> int | None:
        with self._file.changing() as connection:
            if rows := connection.execute(CLAIM_RELEASED, (worker, id_)).fetchall():
                return int(rows[0][0])
            while rows := connection.execute(CLAIM_NEXT, (id_,)).fetchall():
                number = int(rows[0][0])
                if connection.execute(CLAIM_LINE, (id_, number, worker)).rowcount:
                    return number
        return None

    def release(self, id_: str, number: int) -> None:
        with self._file.opened() as connection:
            connection.execute(RELEASE, (id_, number))

    def finish(self, id_: str, worker: str, result: LineResult) -> bool:
        values = (result.completed, result.data, id_, result.number, worker)
        with self._file.changing() as connection:
            kept = connection.execute(FINISH, values).rowcount
            if kept:
                connection.execute(COUNT, (result.completed, id_))
        return bool(kept)

    def running(self, id_: str) -> Sequence[tuple[int, str]]:
        with self._file.opened() as connection:
            return connection.execute(RUNNING, (id_,)).fetchall()

    def results(self, id_: str, first: int, count: int) -> tuple[Sequence[LineResult], int]:
        found: list[LineResult] = []
        left = PAGE_BYTES
        with self._file.opened() as connection, contextlib.closing(connection.cursor()) as cursor:
            rows = cursor.execute(RESULTS, (id_, first, first + count - 1))
            for number, completed, data in rows:
                found.append(LineResult(number, bool(completed), data))
                left -= len(data)
                if left < 0:
                    return found, number + 1
        return found, first + count

    def lines_waiting(self, ids: Collection[str]) -> int:
        with self._file.opened() as connection:
            ((number,),) = connection.execute(LINES_WAITING, (json.dumps([*ids]),)).fetchall()
        return int(number)

    def change(self, id_: str, facts: Mapping[str, Any]) -> None:
        with self._file.changing() as connection:
            row = connection.execute("SELECT facts FROM batches WHERE id = ?", (id_,)).fetchone()
            if row:
                text = json.dumps({**json.loads(row[0]), **facts})
                connection.execute("UPDATE batches SET facts = ? WHERE id = ?", (text, id_))

    def take_over(self, id_: str, before: str, after: str) -> bool:
        with self._file.opened() as connection:
            return bool(connection.execute(TAKE_OVER, (after, id_, before)).rowcount)

    def finalizer(self, id_: str) -> str:
        with self._file.opened() as connection:
            row = connection.execute(
                "SELECT finalizer FROM batches WHERE id = ?", (id_,)
            ).fetchone()
        return str(row[0]) if row else ""

    def delete(self, id_: str) -> None:
        self.clear(id_)
        # With the lines that were claimed or refused meanwhile.
        with self._file.changing() as connection:
            connection.execute("DELETE FROM batch_lines WHERE batch = ?", (id_,))
            connection.execute("DELETE FROM batches WHERE id = ?", (id_,))

    def clear(self, id_: str) -> None:
        with self._file.opened() as connection:
            connection.execute("UPDATE batches SET line_index = NULL WHERE id = ?", (id_,))
            # In parts, as nobody else can write meanwhile.
            while connection.execute(CLEAR, (id_, CLEARED_AT_ONCE)).rowcount:
                connection.executescript("PRAGMA incremental_vacuum")  # `execute` frees one page

    def forget(self, now: float) -> None:
        with self._file.opened() as connection:
            ids = connection.execute(
                "SELECT id FROM batches WHERE forget_at <= ?", (now,)
            ).fetchall()
        for (id_,) in ids:
            self.delete(id_)

    def close(self) -> None:
        self._file.close()
