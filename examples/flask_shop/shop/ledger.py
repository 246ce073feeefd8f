"""The ledger: what each turn was for whom, in a table of the shop's own."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import Any

from wrapper import Gateway, turn_finished
from wrapper.services.events import Usage
from wrapper.services.turn import Turn

TABLE = (
    "CREATE TABLE IF NOT EXISTS ledger (name TEXT, request TEXT, model TEXT, "
    "input INTEGER, output INTEGER, usd REAL, outcome TEXT)"
)

log = logging.getLogger(__name__)


def keep(gateway: Gateway, file: str) -> None:
    """Write a line into *file* for each turn of *gateway* when it ends, however it does."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(TABLE)

    def write(_: Gateway, turn: Turn, request_id: str, usage: Usage, **told: Any) -> None:
        used = (usage.input + usage.cache_read + usage.cache_creation, usage.output)
        line = (
            turn.principal.name,
            request_id,
            turn.model,
            *used,
            told["cost_usd"],
            told["outcome"],
        )
        log.info("%s %s: %s, %s tokens in, %s out, %s USD, %s", *line)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", line)

    turn_finished.connect(write, gateway, weak=False)
