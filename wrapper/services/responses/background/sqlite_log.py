"""The SQLite log: events in a file that the processes of a machine share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wrapper.services.jobs.sqlite_store import CREATE as JOBS
from wrapper.services.jobs.sqlite_store import SETTING
from wrapper.services.responses.background.event_log import PAGE, LoggedEvent
from wrapper.services.responses.background.group import decode, encode
from wrapper.services.sqlite_file import SqliteFile

# Seconds between two looks for what other processes add. This process's own wake at once.
LOOK = 0.25

CREATE = """
CREATE TABLE IF NOT EXISTS response_events (
    response TEXT NOT NULL, last INTEGER NOT NULL, events BLOB NOT NULL,
    PRIMARY KEY (response, last)
) WITHOUT ROWID
"""
# The events of a response are gone with its job, whoever deletes it.
CREATE_TRIGGER = """
CREATE TRIGGER IF NOT EXISTS delete_response_events AFTER DELETE ON jobs
BEGIN DELETE FROM response_events WHERE response = OLD.id; END
"""
ADD = "INSERT INTO response_events SELECT id, ?, ? FROM jobs WHERE id = ?"
READ = """
SELECT events FROM response_events WHERE response = ? AND last > ? ORDER BY last LIMIT ?
"""
READ_LAST = "SELECT events FROM response_events WHERE response = ? ORDER BY last DESC LIMIT 1"
DELETE = "DELETE FROM response_events WHERE response = ?"


class SqliteEventLog:
    """An EventLog in the file of jobs at *path*, for as long as a response has its job."""

    def __init__(self, path: str):
        self._file = SqliteFile(path, (*JOBS, CREATE, CREATE_TRIGGER), SETTING)
        self._lock = threading.Lock()
        self._waiting: dict[str, set[threading.Event]] = {}  # what tells readers of an addition

    def append(self, id_: str, events: Sequence[LoggedEvent]) -> None:
        with self._file.opened() as connection:
            connection.execute(ADD, (events[-1].number, encode(events), id_))
        with self._lock:
            for added in self._waiting.get(id_, ()):
                added.set()

    def read(self, id_: str, after: int, wait: float = 0.0) -> list[LoggedEvent]:
        until = time.monotonic() + wait
        with self._told(id_) as added:
            while True:
                added.clear()
                events = self._select(id_, after)
                left = until - time.monotonic()
                if events or left <= 0:
                    return events
                added.wait(min(left, LOOK))

    def last(self, id_: str) -> LoggedEvent | None:
        with self._file.opened() as connection:
            row = connection.execute(READ_LAST, (id_,)).fetchone()
        return [*decode(row[0])][-1] if row else None

    def delete(self, id_: str) -> None:
        with self._file.opened() as connection:
            connection.execute(DELETE, (id_,))

    def close(self) -> None:
        self._file.close()

    def _select(self, id_: str, after: int) -> list[LoggedEvent]:
        with self._file.opened() as connection:
            rows = connection.execute(READ, (id_, after, PAGE)).fetchall()
        return [event for (group,) in rows for event in decode(group, after)]

    @contextmanager
    def _told(self, id_: str) -> Iterator[threading.Event]:
        """Yield an event that this process sets when it adds to the events of *id_*."""
        added = threading.Event()
        with self._lock:
            self._waiting.setdefault(id_, set()).add(added)
        try:
            yield added
        finally:
            with self._lock:
                self._waiting[id_].discard(added)
                if not self._waiting[id_]:
                    del self._waiting[id_]
