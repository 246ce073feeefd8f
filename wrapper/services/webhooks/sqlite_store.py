"""The SQLite store: deliveries in the file of usage, which a machine's processes share."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from wrapper.services.sqlite_file import SqliteFile
from wrapper.services.webhooks.event import Delivery
from wrapper.services.webhooks.store import MOST_OF_RECIPIENT

CREATE = (
    """
CREATE TABLE IF NOT EXISTS webhook_deliveries (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, recipient TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL,
    created REAL NOT NULL, due REAL, status TEXT NOT NULL, attempts INTEGER NOT NULL,
    last_status INTEGER, last_error TEXT, lease TEXT NOT NULL
)
""",
    """
CREATE INDEX IF NOT EXISTS webhook_recipients ON webhook_deliveries (recipient)
""",
    """
CREATE INDEX IF NOT EXISTS webhooks_due ON webhook_deliveries (recipient, due)
    WHERE due IS NOT NULL
""",
    """
CREATE INDEX IF NOT EXISTS webhooks_created ON webhook_deliveries (created)
""",
)
COLUMNS = (
    "id, recipient, type, body, created, due, status, attempts, last_status, last_error, lease"
)
ADD = f"""
INSERT OR IGNORE INTO webhook_deliveries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""  # noqa: S608 - it is made of constants alone, as the others are
REMOVE_OLD = "DELETE FROM webhook_deliveries WHERE created < ?"
REMOVE_TOO_MANY = """
DELETE FROM webhook_deliveries WHERE recipient = :recipient AND position <= (
    SELECT position FROM webhook_deliveries WHERE recipient = :recipient
    ORDER BY position DESC LIMIT 1 OFFSET :most
)
"""
DUE = """
SELECT recipient, MIN(due) FROM webhook_deliveries WHERE due IS NOT NULL GROUP BY recipient
"""
CLAIM = f"""
UPDATE webhook_deliveries SET due = :until, lease = :lease, attempts = attempts + 1
WHERE position IN (
    SELECT position FROM webhook_deliveries WHERE recipient = :recipient AND due <= :now
    ORDER BY due LIMIT :limit
)
RETURNING {COLUMNS}
"""  # noqa: S608
RECORD = """
UPDATE webhook_deliveries SET
    body = ?, due = ?, status = ?, last_status = ?, last_error = ?, lease = ''
WHERE id = ? AND lease = ?
"""
FIND = f"""
SELECT {COLUMNS} FROM webhook_deliveries
WHERE (:recipient IS NULL OR recipient = :recipient) AND (:before IS NULL OR position < :before)
ORDER BY position DESC LIMIT :limit
"""  # noqa: S608
DELETE_ALL = "DELETE FROM webhook_deliveries WHERE recipient = ?"
POSITION = """
SELECT position FROM webhook_deliveries
WHERE id = :after AND (:recipient IS NULL OR recipient = :recipient)
"""


class SqliteDeliveryStore:
    """A DeliveryStore in the file at *path*, which is opened on first use."""

    def __init__(self, path: str, most: int = MOST_OF_RECIPIENT):
        self._file = SqliteFile(path, CREATE)
        self._most = most

    def add(self, deliveries: Sequence[Delivery], oldest: float) -> None:
        with self._file.changing() as connection:
            connection.executemany(ADD, map(_row, deliveries))
            connection.execute(REMOVE_OLD, (oldest,))
            for recipient in {delivery.recipient for delivery in deliveries}:
                bounds = {"recipient": recipient, "most": self._most}
                connection.execute(REMOVE_TOO_MANY, bounds)

    def due(self) -> dict[str, float]:
        with self._file.opened() as connection:
            return dict(connection.execute(DUE).fetchall())

    def claim(self, recipient: str, now: float, until: float, limit: int) -> list[Delivery]:
        values = {"recipient": recipient, "now": now, "until": until, "limit": limit}
        with self._file.opened() as connection:
            rows = connection.execute(CLAIM, {**values, "lease": uuid.uuid4().hex}).fetchall()
        return [Delivery(*row) for row in rows]

    def record(self, delivery: Delivery) -> None:
        changed = (delivery.body, delivery.due, delivery.status)
        last = (delivery.last_status, delivery.last_error)
        with self._file.opened() as connection:
            connection.execute(RECORD, (*changed, *last, delivery.id, delivery.lease))

    def find(self, recipient: str | None, after: str, limit: int) -> list[Delivery]:
        values = {"recipient": recipient, "after": after, "limit": limit}
        with self._file.opened() as connection:
            position = connection.execute(POSITION, values).fetchone()
            before = position[0] if position else None
            rows = connection.execute(FIND, {**values, "before": before}).fetchall()
        if after and before is None:
            raise KeyError(after)
        return [Delivery(*row) for row in rows]

    def delete_all(self, recipient: str) -> int:
        with self._file.opened() as connection:
            return connection.execute(DELETE_ALL, (recipient,)).rowcount

    def close(self) -> None:
        self._file.close()


def _row(delivery: Delivery) -> tuple[Any, ...]:
    return tuple(vars(delivery).values())
