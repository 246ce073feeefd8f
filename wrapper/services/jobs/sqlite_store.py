"""The SQLite store: jobs in one file that the processes of a machine share."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from wrapper.json_text import Json
from wrapper.services.jobs import sqlite_contents as contents
from wrapper.services.jobs import sqlite_reports as reports
from wrapper.services.jobs.job import Job, JobContent, JobState, JobStatus, JobView
from wrapper.services.jobs.store import REPORT_AT_ONCE, UNREPORTED_TTL, Counts, Room, priority
from wrapper.services.listing import Key
from wrapper.services.sqlite_file import SqliteFile
from wrapper.services.store_health import StoreHealth

SETTING = "JOBS_DB"

CREATE = (
    """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, ttl INTEGER NOT NULL,
    resumes INTEGER NOT NULL, created_at REAL NOT NULL,
    status TEXT NOT NULL, started_at REAL, ended_at REAL, cancel_requested INTEGER NOT NULL,
    worker TEXT NOT NULL, error TEXT, waits INTEGER NOT NULL, rank REAL NOT NULL
)
""",
    "CREATE INDEX IF NOT EXISTS jobs_of_owner ON jobs (owner, created_at)",
    "CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (created_at, owner, id)",
    "CREATE INDEX IF NOT EXISTS open_jobs ON jobs (waits) WHERE ended_at IS NULL",
    "CREATE INDEX IF NOT EXISTS ended_jobs ON jobs (ended_at + ttl) WHERE ended_at IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS job_workers (id TEXT PRIMARY KEY, until REAL NOT NULL)",
    """
CREATE TABLE IF NOT EXISTS job_ranks (
    resumes INTEGER NOT NULL, owner TEXT NOT NULL, rank REAL NOT NULL,
    PRIMARY KEY (resumes, owner)
) WITHOUT ROWID
""",
    *reports.CREATE,
    *contents.CREATE,
)
COLUMNS = (
    "id, kind, owner, ttl, resumes, created_at,"
    " status, started_at, ended_at, cancel_requested, worker, error, waits, rank"
)
READ = f"SELECT {COLUMNS} FROM jobs WHERE id = ?"  # noqa: S608 - constants
INSERT = f"""
INSERT INTO jobs ({COLUMNS})
VALUES (?, ?, ?, ?, ?, ?, 'queued', NULL, NULL, 0, '', NULL, 1, ?)
"""  # noqa: S608
# The owner '' stands for all: its rank is that of the last job that began.
RANK = """
INSERT INTO job_ranks SELECT ?1, ?2, 1 + ifnull(max(rank), 0) FROM job_ranks
WHERE resumes = ?1 AND owner IN ('', ?2)
ON CONFLICT DO UPDATE SET rank = excluded.rank RETURNING rank
"""
RANK_BEGUN = """
INSERT INTO job_ranks SELECT resumes, '', rank FROM jobs WHERE id = ?
ON CONFLICT DO UPDATE SET rank = max(rank, excluded.rank)
"""
BEGIN = """
UPDATE jobs SET waits = 0, status = 'in_progress', worker = ?, started_at = ifnull(started_at, ?)
WHERE id = ? AND waits = 1 AND ended_at IS NULL
"""
# A job that does not resume has not begun, if it waits.
PUT_BACK = """
UPDATE jobs SET waits = 1, rank = ?, status = iif(resumes, status, 'queued'),
    started_at = iif(resumes, started_at, NULL)
WHERE id = ? AND waits = 0 AND ended_at IS NULL
"""
END = """
UPDATE jobs SET waits = 0, status = ?, error = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL
"""
CANCEL = """
UPDATE jobs SET
    cancel_requested = 1,
    waits = iif(started_at IS NULL, 0, waits),
    status = iif(started_at IS NULL, 'cancelled', status),
    ended_at = iif(started_at IS NULL, ?, NULL)
WHERE id = ? AND ended_at IS NULL AND cancel_requested = 0
"""
GOING_ON = (
    "SELECT id FROM jobs WHERE ended_at IS NULL AND cancel_requested = 0"
    " AND status = 'in_progress' AND id IN (SELECT value FROM json_each(?))"
)
ORPHANS = f"""
SELECT {COLUMNS} FROM jobs WHERE ended_at IS NULL AND waits = 0
AND worker NOT IN (SELECT id FROM job_workers WHERE until > ?)
"""  # noqa: S608
WAITING = "SELECT id, rank, resumes FROM jobs WHERE ended_at IS NULL AND waits = 1"
COUNTS = """
SELECT kind, sum(waits), sum(status = 'in_progress') FROM jobs WHERE ended_at IS NULL GROUP BY kind
"""
BEAT = "INSERT OR REPLACE INTO job_workers VALUES (?, ?)"
ALIVE = "SELECT 1 FROM job_workers WHERE id = ? AND until > ?"
EXPIRE = "DELETE FROM jobs WHERE ended_at IS NOT NULL AND ended_at + ttl <= ?"


class SqliteJobStore:
    """A JobStore in the file at *path*, which is created with the first job."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time):
        self._file = SqliteFile(path, CREATE, SETTING)
        self._clock = clock
        self._health = StoreHealth("jobs")

    def add(self, job: Job, content: JobContent, room: Room) -> float | None:
        with self._changing() as connection:
            jobs, size = connection.execute(contents.KEPT_OF, (job.owner,)).fetchone()
            if jobs >= room.jobs or size + content.size > room.bytes:
                return None
            rank = _next_rank(connection, job)
            values = (job.id, job.kind, job.owner, job.ttl, job.resumes)
            connection.execute(INSERT, (*values, job.created_at, rank))
            connection.execute(contents.ADD, (job.id, content.summary, content.request))
        return priority(rank, resumes=job.resumes)

    def find(self, id_: str) -> JobView | None:
        with self._opened() as connection:
            return _read(connection, id_)

    def request(self, id_: str) -> bytes | None:
        return self._content(contents.REQUEST, id_)

    def summary(self, id_: str) -> bytes | None:
        return self._content(contents.SUMMARY, id_)

    def ids(self, owner: str) -> Sequence[str]:
        query = "SELECT id FROM jobs WHERE owner = ? ORDER BY created_at DESC, id"
        with self._opened() as connection:
            return [id_ for (id_,) in connection.execute(query, (owner,))]

    def keys(self, most: int) -> Sequence[Key]:
        query = "SELECT owner, id FROM jobs ORDER BY created_at DESC, owner DESC, id DESC LIMIT ?"
        with self._opened() as connection:
            return connection.execute(query, (most,)).fetchall()

    def begin(self, id_: str, worker: str, until: float) -> JobContent | None:
        with self._changing() as connection:
            if not connection.execute(BEGIN, (worker, self._clock(), id_)).rowcount:
                return None
            connection.execute(RANK_BEGUN, (id_,))
            connection.execute(BEAT, (worker, until))
            summary, request = connection.execute(contents.READ, (id_,)).fetchone()
        return JobContent(request, summary)

    def put_back(self, id_: str) -> float | None:
        with self._changing() as connection:
            view = _read(connection, id_)
            if view is None:
                return None
            rank = _next_rank(connection, view.job)
            if not connection.execute(PUT_BACK, (rank, id_)).rowcount:
                return None
        return priority(rank, resumes=view.job.resumes)

    def end(self, id_: str, status: JobStatus, error: Json | None = None) -> JobView | None:
        text = None if error is None else json.dumps(error)
        with self._changing() as connection:
            if not connection.execute(END, (status, text, self._clock(), id_)).rowcount:
                return None
            return _read(connection, id_)

    def cancel(self, id_: str) -> JobView | None:
        with self._changing() as connection:
            if not connection.execute(CANCEL, (self._clock(), id_)).rowcount:
                return None
            return _read(connection, id_)

    def unreported(self, seconds: float) -> Sequence[JobView]:
        until = self._clock() - seconds
        with self._opened() as connection:
            ids = connection.execute(reports.IDS, (until, REPORT_AT_ONCE)).fetchall()
            views = [_read(connection, id_) for (id_,) in ids]
        return [view for view in views if view]

    def mark_reported(self, id_: str) -> bool:
        with self._changing() as connection:
            return bool(connection.execute(reports.MARK, (id_,)).rowcount)

    def delete(self, id_: str) -> bool:
        with self._changing() as connection:
            return bool(connection.execute("DELETE FROM jobs WHERE id = ?", (id_,)).rowcount)

    def stopped(self, ids: Collection[str]) -> set[str]:
        with self._opened() as connection:
            rows = connection.execute(GOING_ON, (json.dumps([*ids]),)).fetchall()
        return {*ids} - {id_ for (id_,) in rows}

    def beat(self, worker: str, until: float) -> None:
        with self._changing() as connection:
            connection.execute(BEAT, (worker, until))

    def alive(self, worker: str) -> bool:
        with self._opened() as connection:
            return connection.execute(ALIVE, (worker, self._clock())).fetchone() is not None

    def orphans(self) -> Sequence[JobView]:
        with self._opened() as connection:
            return [_view(row) for row in connection.execute(ORPHANS, (self._clock(),))]

    def waiting(self) -> Mapping[str, float]:
        with self._opened() as connection:
            rows = connection.execute(WAITING).fetchall()
        return {id_: priority(rank, resumes=resumes) for id_, rank, resumes in rows}

    def counts(self) -> Mapping[str, Counts]:
        with self._opened() as connection:
            rows = connection.execute(COUNTS).fetchall()
        return {kind: Counts(waiting, running) for kind, waiting, running in rows}

    def expire(self) -> None:
        now = self._clock()
        with self._changing() as connection:
            connection.execute(EXPIRE, (now,))
            connection.execute(reports.EXPIRE, (now - UNREPORTED_TTL,))
            connection.execute("DELETE FROM job_workers WHERE until <= ?", (now,))

    def exists(self) -> bool:
        return self._file.exists()

    def health(self) -> dict[str, Any]:
        return self._health.state()

    def close(self) -> None:
        self._file.close()

    def _content(self, query: str, id_: str) -> bytes | None:
        with self._opened() as connection:
            row = connection.execute(query, (id_,)).fetchone()
        return row[0] if row else None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._health.watching(), self._file.opened() as connection:
            yield connection

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._health.watching(), self._file.changing() as connection:
            yield connection


def _next_rank(connection: sqlite3.Connection, job: Job) -> float:
    # All rows are read, as a statement in progress would forbid the commit.
    ((rank,),) = connection.execute(RANK, (job.resumes, job.owner)).fetchall()
    return float(rank)


def _read(connection: sqlite3.Connection, id_: str) -> JobView | None:
    row = connection.execute(READ, (id_,)).fetchone()
    return _view(row) if row else None


def _view(row: Sequence[Any]) -> JobView:
    id_, kind, owner, ttl, resumes, created_at, *state = row
    status, started_at, ended_at, cancel_requested, worker, error, waits, rank = state
    return JobView(
        Job(id_, kind, owner, ttl, bool(resumes), created_at),
        JobState(
            JobStatus(status),
            started_at,
            ended_at,
            bool(cancel_requested),
            worker,
            json.loads(error) if error else None,
        ),
        priority(rank, resumes=resumes) if waits else None,
    )
