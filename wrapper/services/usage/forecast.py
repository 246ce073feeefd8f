"""The forecast: what the day and the month will cost at the pace so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from wrapper.services.usage.budget import NANO, day_of, midnight, month_of
from wrapper.services.usage.store import Row

# Less time says nothing about the rest of a day or of a month.
LEAST_OF_DAY = timedelta(hours=1)
LEAST_OF_MONTH = timedelta(days=1)


@dataclass(frozen=True)
class Pace:
    """What is `spent` in a period up to `now`, in billionths of dollars, and in which time.

    `elapsed` is None as long as nothing can be said about the rest of the period.
    """

    spent: int
    elapsed: timedelta | None
    now: datetime
    ends: datetime

    @classmethod
    def of(cls, rows: Iterable[Row], period: tuple[date, date], now: datetime) -> Pace:
        """Return the pace in a *period*, which is a day or a month that *now* is in.

        Time counts from the first day that has any usage.
        """
        first, ends = (_midnight(day) for day in period)
        used = [row for row in rows if row.day >= first.date().isoformat()]
        begun = [_midnight(date.fromisoformat(row.day)) for row in used]
        elapsed = now - min(begun) if begun else timedelta()
        least = LEAST_OF_DAY if ends - first == timedelta(days=1) else LEAST_OF_MONTH
        spent = sum(row.amounts.charged for row in used)
        return cls(spent, elapsed if elapsed >= least else None, now, ends)

    def expected(self) -> int | None:
        """Return what will be spent when the period ends."""
        if self.elapsed is None:
            return None
        return self.spent + round(self.spent * ((self.ends - self.now) / self.elapsed))

    def reaches(self, limit: int) -> datetime | None:
        """Return when *limit* will be spent, None if it is, or if not before the end."""
        if self.elapsed is None or not 0 < self.spent < limit:
            return None
        left = (limit - self.spent) / self.spent
        if left >= (self.ends - self.now) / self.elapsed:
            return None
        return self.now + self.elapsed * left


def forecast(rows: Sequence[Row], now: datetime) -> dict[str, Any]:
    """Return the expected costs of the day and of the month, to which *rows* belong."""
    return {
        name: _body(Pace.of(rows, period, now))
        for name, period in (("day", day_of(now.date())), ("month", month_of(now.date())))
    }


def exhausted_at(
    rows: Iterable[Row], period: tuple[date, date], limit_usd: float, now: datetime
) -> str | None:
    """Return when a budget of *period* will be used up.

    It is None if the budget is used up, if it lasts until the end, or if that is unknown.
    """
    moment = Pace.of(rows, period, now).reaches(round(limit_usd / NANO))
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z" if moment else None


def _body(pace: Pace) -> dict[str, Any]:
    expected = pace.expected()
    return {
        "spent_usd": round(pace.spent * NANO, 9),
        "expected_usd": None if expected is None else round(expected * NANO, 9),
        "ends_at": midnight(pace.ends.date()),
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
