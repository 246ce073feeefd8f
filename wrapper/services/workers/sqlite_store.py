"""The SQLite store: workers of one machine share the file of usage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from wrapper.services.sqlite_file import SqliteFile
from wrapper.services.workers.store import LIFE, Orders, Stop

CREATE_STATES = """
CREATE TABLE IF NOT EXISTS worker_states (
    worker TEXT PRIMARY KEY, state TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID
"""
CREATE_STOPS = """
CREATE TABLE IF NOT EXISTS worker_stops (
    worker TEXT NOT NULL, number INTEGER NOT NULL, stopper TEXT NOT NULL, admin INTEGER NOT NULL,
    expires REAL NOT NULL,
    PRIMARY KEY (worker, number)
) WITHOUT ROWID
"""
# Stands among the states: the time until which somebody wants to see them.
WANTED = ""
PUT = "INSERT OR REPLACE INTO worker_states VALUES (?, ?, ?)"
IS_WANTED = "SELECT 1 FROM worker_states WHERE worker = ? AND expires > ?"
STATES = "SELECT state FROM worker_states WHERE worker != ? AND expires > ?"
STOP = "INSERT OR REPLACE INTO worker_stops VALUES (?, ?, ?, ?, ?)"
STOPS = "SELECT worker, number, stopper, admin FROM worker_stops WHERE expires > ?"
STOPS_OF = f"{STOPS} AND worker = ?"


class SqliteWorkerStore:
    """A WorkerStore in the file at *path*. *clock* returns Unix seconds."""

    def __init__(self, path: str, *, clock: Callable[[], float] = time.time):
        self._file = SqliteFile(path, (CREATE_STATES, CREATE_STOPS))
        self._clock = clock

    def want(self) -> None:
        self.put(WANTED, "")

    def take_orders(self, worker: str) -> Orders:
        now = self._clock()
        with self._file.opened() as connection:
            is_wanted = connection.execute(IS_WANTED, (WANTED, now)).fetchone() is not None
            rows = connection.execute(STOPS_OF, (now, worker)).fetchall()
            if rows:
                connection.execute("DELETE FROM worker_stops WHERE worker = ?", (worker,))
        return Orders(is_wanted, _stops(rows))

    def put(self, worker: str, state: str) -> None:
        now = self._clock()
        with self._file.changing() as connection:
            for table in ("worker_states", "worker_stops"):
                connection.execute(f"DELETE FROM {table} WHERE expires <= ?", (now,))  # noqa: S608
            connection.execute(PUT, (worker, state, now + LIFE))

    def states(self) -> Sequence[str]:
        with self._file.opened() as connection:
            return [text for (text,) in connection.execute(STATES, (WANTED, self._clock()))]

    def stop(self, stop: Stop) -> None:
        row = (stop.worker, stop.number, stop.by, stop.admin, self._clock() + LIFE)
        with self._file.opened() as connection:
            connection.execute(STOP, row)

    def stops(self) -> Sequence[Stop]:
        with self._file.opened() as connection:
            return _stops(connection.execute(STOPS, (self._clock(),)).fetchall())

    def remove(self, worker: str) -> None:
        with self._file.opened() as connection:
            connection.execute("DELETE FROM worker_states WHERE worker = ?", (worker,))

    def close(self) -> None:
        self._file.close()


def _stops(rows: Sequence[Any]) -> list[Stop]:
    return [Stop(worker, number, by, bool(admin)) for worker, number, by, admin in rows]
