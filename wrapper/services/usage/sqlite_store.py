"""The SQLite store: usage in one file that the processes of a machine share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from wrapper.services.sqlite_file import SqliteFile
from wrapper.services.usage.login_limits import LimitRow
from wrapper.services.usage.store import Amounts, Row
from wrapper.services.usage.tool_counts import MAX_TOOLS, OTHER, ToolCounts, ToolRow

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
CREATE_USERS = """
CREATE TABLE IF NOT EXISTS spent_by_users (
    day TEXT NOT NULL, key TEXT NOT NULL, user TEXT NOT NULL, nanos INTEGER NOT NULL,
    PRIMARY KEY (key, user, day)
) WITHOUT ROWID
"""
CREATE_USER_DAYS = "CREATE INDEX IF NOT EXISTS days_of_users ON spent_by_users (day)"
CREATE_ANNOUNCED = """
CREATE TABLE IF NOT EXISTS announced (
    occurrence TEXT NOT NULL PRIMARY KEY, day TEXT NOT NULL
) WITHOUT ROWID
"""
CREATE_LIMITS = """
CREATE TABLE IF NOT EXISTS provider_limits (
    login TEXT NOT NULL, part TEXT NOT NULL, learned_at REAL NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (login, part)
) WITHOUT ROWID
"""
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

ADD_USER = """
INSERT INTO spent_by_users VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET nanos = nanos + excluded.nanos
"""
READ_USER = (
    "SELECT day, nanos FROM spent_by_users WHERE key = ? AND user = ? AND day BETWEEN ? AND ?"
)
FORGET_USERS = "DELETE FROM spent_by_users WHERE day < ?"
ANNOUNCE = "INSERT OR IGNORE INTO announced VALUES (?, ?)"
FORGET_ANNOUNCED = "DELETE FROM announced WHERE day < ?"
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
PUT_LIMITS = "INSERT OR REPLACE INTO provider_limits VALUES (?, ?, ?, ?)"
READ_LIMITS = "SELECT login, part, learned_at, facts FROM provider_limits ORDER BY login, part"
TABLES = (CREATE, CREATE_TOOLS, CREATE_LIMITS, CREATE_USERS, CREATE_USER_DAYS, CREATE_ANNOUNCED)


class SqliteUsageStore:
    """A UsageStore, ToolStore and LimitStore in the file at *path*.

    The file is opened on first use and created if it is missing.
    Added rows survive the death of the process. A power failure may lose the last of them.
    """

    def __init__(self, path: str):
        self._file = SqliteFile(path, TABLES)

    def add(self, rows: Sequence[Row]) -> None:
        values = [(r.day, r.key, r.model, *r.amounts.values()) for r in rows if not r.user]
        users = [(row.day, row.key, row.user, row.amounts.charged) for row in rows if row.user]
        with self._file.changing() as connection:
            connection.executemany(ADD, values)
            if users:
                connection.executemany(ADD_USER, users)
                connection.execute(FORGET_USERS, (_oldest(min(users)[0]),))

    def read(self, first: str, last: str, key: str | None = None) -> list[Row]:
        with self._file.opened() as connection:
            if key is None:
                rows = connection.execute(READ, (first, last)).fetchall()
            else:
                rows = connection.execute(READ_KEY, (key, first, last)).fetchall()
        return [Row(day, name, model, Amounts(*n)) for day, name, model, *n in rows if any(n)]

    def read_user(self, first: str, last: str, key: str, user: str) -> list[Row]:
        with self._file.opened() as connection:
            days = connection.execute(READ_USER, (key, user, first, last)).fetchall()
        return [Row(day, key, "", Amounts(nanos=nanos), user) for day, nanos in days]

    def announce(self, day: str, occurrence: str) -> bool:
        with self._file.opened() as connection:
            connection.execute(FORGET_ANNOUNCED, (_oldest(day),))
            return connection.execute(ANNOUNCE, (occurrence, day)).rowcount == 1

    def add_tools(self, day: str, key: str, counts: Mapping[str, ToolCounts]) -> None:
        month = day[:8]
        with self._file.changing() as connection:
            rows = connection.execute(TOOLS_OF_MONTH, (key, f"{month}01", f"{month}31"))
            known = {tool for (tool,) in rows}
            for tool, added in counts.items():
                name = tool if tool in known or len(known) < MAX_TOOLS else OTHER
                known.add(name)
                connection.execute(ADD_TOOL, (day, key, name, *added.values()))

    def read_tools(self, first: str, last: str, key: str | None = None) -> list[ToolRow]:
        with self._file.opened() as connection:
            rows = connection.execute(READ_TOOLS, (key, first, last)).fetchall()
        return [ToolRow(name, tool, ToolCounts(*numbers)) for name, tool, *numbers in rows]

    def put_limits(self, login: str, learned_at: float, facts: Mapping[str, Any]) -> None:
        rows = [(login, part, learned_at, json.dumps(known)) for part, known in facts.items()]
        with self._file.changing() as connection:
            connection.executemany(PUT_LIMITS, rows)

    def read_limits(self) -> list[LimitRow]:
        with self._file.opened() as connection:
            rows = connection.execute(READ_LIMITS).fetchall()
        return [LimitRow(login, part, at, json.loads(facts)) for login, part, at, facts in rows]

    def check(self) -> None:
        """Check that the file can be read, unless it is still to be made."""
        if self._file.exists():
            with self._file.opened() as connection:
                connection.execute(READ, ("", "")).fetchall()

    def close(self) -> None:
        """Close the idle connections."""
        self._file.close()


def _oldest(day: str) -> str:
    """Return the first day of the month before *day*, from which on budgets still count."""
    first = date.fromisoformat(day).replace(day=1)
    return (first - timedelta(days=1)).replace(day=1).isoformat()
