"""Job stores for tests, whose time passes when the test says so."""

from __future__ import annotations

from pathlib import Path

from wrapper.services.jobs.sqlite_store import SqliteJobStore

START = 1_700_000_000.0


class SqliteKind:
    """Stores in one file in *folder*."""

    def __init__(self, folder: Path):
        self.now = START
        self._path = str(folder / "jobs.db")
        self._opened: list[SqliteJobStore] = []

    def open(self) -> SqliteJobStore:
        self._opened.append(SqliteJobStore(self._path, clock=lambda: self.now))
        return self._opened[-1]

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def close(self) -> None:
        for store in self._opened:
            store.close()
