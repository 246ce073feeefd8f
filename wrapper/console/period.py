"""The period that a page is about: days until today, or those that its form names."""

from __future__ import annotations

from datetime import timedelta

from werkzeug.datastructures import MultiDict

from wrapper.routes.context import current_gateway
from wrapper.services.usage.ledger import Ledger

# Numbers of days that a page offers.
PERIODS = (7, 30, 90)


def period(days: int) -> tuple[str, str]:
    """Return the first and the last one of so many *days* until today."""
    ledger: Ledger = current_gateway().limits.ledger
    today = ledger.today()
    return (today - timedelta(days - 1)).isoformat(), today.isoformat()


def periods() -> list[tuple[int, str, str]]:
    """Return the number, the first and the last day of each period that a page offers."""
    return [(days, *period(days)) for days in PERIODS]


def filled(fields: MultiDict[str, str]) -> dict[str, str]:
    """Return those fields of a form that are filled in."""
    return {name: value for name, value in fields.to_dict().items() if value}
