"""The budget: how much a key may spend in a day or a month, and when that starts anew."""

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
    """What may be spent from the day *first* on, in dollars, until it *resets* at 0:00 UTC."""

    name: str
    limit_usd: float
    first: date
    resets: date

    def spent(self, rows: Iterable[Row]) -> int:
        """Return what the rows spent of it, in billionths of dollars, at the most it can be."""
        first = self.first.isoformat()
        own = (row.amounts for row in rows if row.day >= first)
        return sum(amounts.nanos + amounts.unpriced_nanos for amounts in own)

    def check(self, rows: Iterable[Row], key: str) -> None:
        """Raise QuotaExceeded where the rows have spent all of it."""
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
    found = []
    if (limit := principal.usd_per_day) is not None:
        found.append(Budget("usd_per_day", limit, today, today + timedelta(days=1)))
    if (limit := principal.usd_per_month) is not None:
        first = today.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        found.append(Budget("usd_per_month", limit, first, following))
    return found


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
