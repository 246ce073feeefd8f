"""Budgets: how much a key may spend in a day or a month, and when the next one begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from wrapper.errors import QuotaExceeded
from wrapper.services.principal import Principal
from wrapper.services.usage.store import Row

NANO = 1e-9


@dataclass(frozen=True)
class Budget:
    """Dollars that may be spent from the day `first` until the budget `resets` at 0:00 UTC."""

    name: str
    limit_usd: float
    first: date
    resets: date

    def spent(self, rows: Iterable[Row]) -> int:
        """Return the most that the rows can have spent of it, in billionths of dollars."""
        first = self.first.isoformat()
        counted = (row.amounts for row in rows if row.day >= first)
        return sum(amounts.nanos + amounts.unpriced_nanos for amounts in counted)

    def check(self, rows: Iterable[Row], key: str) -> None:
        """Raise QuotaExceeded if the rows have spent all of it."""
        spent = self.spent(rows)
        if spent >= round(self.limit_usd / NANO):
            raise QuotaExceeded(
                f"The budget {self.name} of {key!r} is used up: ${spent * NANO:,.4f} of "
                f"${self.limit_usd:,.4f} are spent; it starts anew at {_midnight(self.resets)}.",
                retry=False,
            )

    def body(self, rows: Iterable[Row]) -> dict[str, Any]:
        spent = round(self.spent(rows) * NANO, 9)
        limit = {"limit_usd": self.limit_usd, "spent_usd": spent}
        return {**limit, "resets_at": _midnight(self.resets)}


def budgets(principal: Principal, today: date) -> list[Budget]:
    """Return the budgets that *principal* has today."""
    current = []
    if (limit := principal.usd_per_day) is not None:
        current.append(Budget("usd_per_day", limit, today, today + timedelta(days=1)))
    if (limit := principal.usd_per_month) is not None:
        first = today.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        current.append(Budget("usd_per_month", limit, first, following))
    return current


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
