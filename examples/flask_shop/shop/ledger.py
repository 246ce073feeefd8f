"""The ledger: what each turn was for whom, in a table of the shop's own, and who sees it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

from flask import Blueprint, abort, current_app, render_template

from shop.customers import current, principal_name
from wrapper import Gateway
from wrapper.services.events import Usage
from wrapper.services.signals import turn_finished
from wrapper.services.turn import Turn

TABLE = (
    "CREATE TABLE IF NOT EXISTS ledger (name TEXT, request TEXT, model TEXT, "
    "input INTEGER, output INTEGER, usd REAL, outcome TEXT)"
)

log = logging.getLogger(__name__)
pages = Blueprint("ledger", __name__)


def keep(gateway: Gateway, file: str) -> None:
    """Write a line into *file* for each turn of *gateway* when it ends, however it does."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(TABLE)

    def write(
        _: Gateway,
        *,
        turn: Turn,
        request_id: str,
        usage: Usage,
        cost_usd: float | None,
        outcome: str,
    ) -> None:
        used = (usage.input + usage.cache_read + usage.cache_creation, usage.output)
        line = (turn.principal.name, request_id, turn.model, *used, cost_usd, outcome)
        log.info("%s %s: %s, %s tokens in, %s out, %s USD, %s", *line)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", line)

    turn_finished.connect(write, gateway, weak=False)


@pages.get("/account")
def account() -> str:
    """Show a customer what they have used."""
    customer = current() or abort(401, "Log in to see that.")
    with closing(sqlite3.connect(current_app.config["DATABASE"])) as database:
        lines = database.execute(
            "SELECT model, input, output, usd, outcome FROM ledger WHERE name = ?",
            (principal_name(customer),),
        ).fetchall()
    return render_template("account.html", lines=lines)
