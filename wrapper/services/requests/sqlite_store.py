"""The SQLite store: finished requests in the file of usage, which a machine's processes share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from wrapper.services.requests.request import FinishedRequest, Latency, RequestQuery
from wrapper.services.requests.store import MAX_REQUESTS
from wrapper.services.sqlite_file import SqliteFile
from wrapper.services.usage.store import Amounts

CREATE = """
CREATE TABLE IF NOT EXISTS requests (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, session TEXT NOT NULL,
    outcome TEXT NOT NULL, day TEXT NOT NULL, began REAL NOT NULL,
    requests INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_creation INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    nanos INTEGER NOT NULL, unpriced_nanos INTEGER NOT NULL,
    first_token_ms INTEGER, total_ms INTEGER, details TEXT NOT NULL
)
"""
ADD = """
INSERT INTO requests VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
REMOVE_TOO_MANY = """
DELETE FROM requests WHERE position <= (SELECT MAX(position) FROM requests) - ?
"""
# It stops at the first request that is young enough, as those after it are, too.
REMOVE_OLD = """
DELETE FROM requests WHERE position < IFNULL(
    (SELECT position FROM requests WHERE began >= ? ORDER BY position LIMIT 1),
    (SELECT MAX(position) + 1 FROM requests)
)
"""
# As RequestQuery.matches. The values are those of the query by name.
MATCHES = """
day BETWEEN :first AND :last AND (:key IS NULL OR key = :key) AND INSTR(model, :model)
AND :id IN ('', id, session)
AND CASE :outcome
    WHEN 'failed' THEN outcome NOT IN ('done', 'client_gone')
    ELSE :outcome IN ('', outcome)
END
"""


def _select(columns: str, further: str = "") -> str:
    """Return a statement that is made of constants alone."""
    return f"SELECT {columns} FROM requests WHERE {MATCHES} {further}"  # noqa: S608


FIND = _select(
    "id, key, model, session, outcome, day, began, requests, input, cache_read, cache_creation, "
    "output, reasoning, nanos, unpriced_nanos, details, position",
    "AND (:before IS NULL OR position < :before) ORDER BY position DESC LIMIT :limit",
)
TOTAL = _select(
    "COUNT(*), SUM(requests), SUM(input), SUM(cache_read), SUM(cache_creation), "
    "SUM(output), SUM(reasoning), SUM(nanos), SUM(unpriced_nanos)"
)
LATENCIES = _select(
    "day, model, first_token_ms, total_ms", "AND outcome = 'done' AND first_token_ms IS NOT NULL"
)


class SqliteRequestStore:
    """A RequestStore in the file at *path*, which is opened on first use."""

    def __init__(self, path: str, most: int = MAX_REQUESTS):
        self._file = SqliteFile(path, (CREATE,))
        self._most = most

    def append(self, requests: Sequence[FinishedRequest], oldest: float) -> None:
        rows = [_row(request) for request in requests]
        with self._file.changing() as connection:
            connection.executemany(ADD, rows)
            connection.execute(REMOVE_TOO_MANY, (self._most,))
            connection.execute(REMOVE_OLD, (oldest,))

    def find(self, query: RequestQuery, before: str, limit: int) -> list[FinishedRequest]:
        page = {"before": int(before.partition("-")[0]) if before else None, "limit": limit}
        return [_request(row) for row in self._read(FIND, {**asdict(query), **page})]

    def total(self, query: RequestQuery) -> tuple[int, Amounts]:
        ((number, *sums),) = self._read(TOTAL, asdict(query))
        return number, Amounts(*(value or 0 for value in sums))

    def latencies(self, query: RequestQuery) -> list[Latency]:
        return [Latency(*row) for row in self._read(LATENCIES, asdict(query))]

    def delete_all(self, key: str) -> int:
        with self._file.opened() as connection:
            return connection.execute("DELETE FROM requests WHERE key = ?", (key,)).rowcount

    def close(self) -> None:
        self._file.close()

    def _read(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        with self._file.opened() as connection:
            return connection.execute(statement, values).fetchall()


def _row(request: FinishedRequest) -> tuple[Any, ...]:
    details = request.details
    return (
        *(request.id, request.key, request.model, request.session, request.outcome),
        *(request.day, request.began, *request.amounts.values()),
        *(details.get("first_token_ms"), details.get("total_ms"), json.dumps(details)),
    )


def _request(row: Sequence[Any]) -> FinishedRequest:
    id_, key, model, session, outcome, day, began, *amounts, details, position = row
    return FinishedRequest(
        *(id_, key, model, session, outcome, day, began),
        amounts=Amounts(*amounts),
        details=json.loads(details),
        position=str(position),
    )
