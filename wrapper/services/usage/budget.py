"""Budgets: how much may be spent in a day or a month, and when the next one begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from wrapper.errors import QuotaExceeded
from wrapper.notes import BudgetWarning, Notes
from wrapper.services.principal import LimitHolder
from wrapper.services.usage.store import Row

NANO = 1e-9
# Percentages of a budget that are announced once they are spent.
THRESHOLDS = (80, 90, 100)


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
        return sum(row.amounts.charged for row in rows if row.day >= first)

    def threshold(self, spent: int) -> int:
        """Return the highest of THRESHOLDS that *spent* has reached, or 0."""
        reached = (each for each in reversed(THRESHOLDS) if self._reaches(spent, each))
        return next(reached, 0)

    def is_near(self, spent: int) -> bool:
        """Say whether *spent* is within ten percent of the budget of the first threshold."""
        return self._reaches(spent, THRESHOLDS[0] - 10)

    def check(self, spent: int, label: str) -> None:
        """Raise QuotaExceeded if all of it is *spent*."""
        if self._reaches(spent, 100):
            raise QuotaExceeded(
                f"The budget {self.name} of {label} is used up: ${spent * NANO:,.4f} of "
                f"${self.limit_usd:,.4f} are spent; it starts anew at {midnight(self.resets)}.",
                retry=False,
                notes=Notes(budget_warnings=(BudgetWarning(self.name, 100),)),
            )

    def body(self, spent: int) -> dict[str, Any]:
        limit = {"limit_usd": self.limit_usd, "spent_usd": round(spent * NANO, 9)}
        return {**limit, "resets_at": midnight(self.resets)}

    def _reaches(self, spent: int, percent: int) -> bool:
        return spent * 100 >= round(self.limit_usd / NANO) * percent


def budgets(holder: LimitHolder, today: date) -> list[Budget]:
    """Return the budgets that *holder* has today."""
    current, prefix = [], holder.prefix
    if (limit := holder.usd_per_day) is not None:
        current.append(Budget(f"{prefix}usd_per_day", limit, *day_of(today)))
    if (limit := holder.usd_per_month) is not None:
        current.append(Budget(f"{prefix}usd_per_month", limit, *month_of(today)))
    return current


def day_of(today: date) -> tuple[date, date]:
    """Return today and tomorrow."""
    return today, today + timedelta(days=1)


def month_of(today: date) -> tuple[date, date]:
    """Return the first days of this month and of the next one."""
    first = today.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
