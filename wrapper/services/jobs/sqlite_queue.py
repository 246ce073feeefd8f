"""The storage of a queue of jobs in an SQLite file."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wrapper.services.jobs.sqlite_store import SETTING
from wrapper.services.sqlite_file import BUSY, FAILURES, SqliteFile, failed

if TYPE_CHECKING:
    from huey.storage import SqliteStorage

NAME = "jobs"


class SqliteQueueStorage:
    """Huey's SqliteStorage in the file at *path*, which it shares with the job store."""

    def __init__(self, path: str):
        self._file = SqliteFile(path, (), SETTING)
        self._lock = threading.Lock()
        self._storage: SqliteStorage | None = None
        self._identity: tuple[int, int] | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[SqliteStorage]:
        try:
            yield self._open()
        except FAILURES as error:
            self.close()
            raise failed(error, "", SETTING) from None

    def close(self) -> None:
        """Close the connection. The next use opens another one."""
        with self._lock:
            if self._storage is not None:
                self._storage.close()

    def _open(self) -> SqliteStorage:
        from huey.storage import SqliteStorage

        with self._lock:
            # A file that was deleted or replaced would still take messages, which nobody finds.
            if self._storage is None or self._identity != self._file.identity():
                with self._file.opened():  # creates the file, for this user alone
                    self._identity = self._file.identity()
                self._file.close()
                if self._storage is not None:
                    self._storage.close()
                self._storage = SqliteStorage(NAME, str(self._file.path()), timeout=BUSY)
            return self._storage
