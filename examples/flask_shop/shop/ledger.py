"""The ledger: each turn with its customer and its cost, in a table of the shop."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import Any

from claude_code_gateway import Gateway, turn_finished
from wrapper.services.events import Usage
from wrapper.services.turn import Turn

TABLE = (
    "CREATE TABLE IF NOT EXISTS ledger (name TEXT, request TEXT, model TEXT, "
    "input INTEGER, output INTEGER, usd REAL, outcome TEXT)"
)

log = logging.getLogger(__name__)


def keep(gateway: Gateway, file: str) -> None:
    """Write a line to *file* whenever a turn of *gateway* ends, successfully or not."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(TABLE)

    def write(_: Gateway, turn: Turn, request_id: str, usage: Usage, **more: Any) -> None:
        tokens = (usage.input + usage.cache_read + usage.cache_creation, usage.output)
        line = (
            turn.principal.name,
            request_id,
            turn.model,
            *tokens,
            more["cost_usd"],
            more["outcome"],
        )
        log.info("%s %s: %s, %s tokens in, %s out, %s USD, %s", *line)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", line)

    turn_finished.connect(write, gateway, weak=False)
