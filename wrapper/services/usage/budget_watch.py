"""The budget watch: what is spent of budgets, as far as this worker knows, and their thresholds."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from wrapper.notes import BudgetWarning
from wrapper.services.principal import LimitHolder
from wrapper.services.store_health import StoreFailed
from wrapper.services.usage.budget import NANO, THRESHOLDS, Budget, midnight
from wrapper.services.usage.store import Row

# Keys may have any number of users. Those that have spent nothing for longest are forgotten.
MOST_HOLDERS = 10_000

log = logging.getLogger(__name__)

Spent = Mapping[Budget, int]


@dataclass(frozen=True)
class ThresholdReached:
    """That *percent* of a budget are spent, of a key or of a user below it."""

    key: str
    user: str
    budget: Budget
    percent: int
    spent: int

    @property
    def occurrence(self) -> str:
        """Return what no other threshold, budget or period has."""
        holder = f"{self.key}/{self.user}" if self.user else self.key
        period = "day" if self.budget.name.endswith("day") else "month"
        return f"budget:{holder}:{period}:{self.budget.first.isoformat()}:{self.percent}"

    def facts(self) -> dict[str, Any]:
        """Return what the event and the log say."""
        return {
            "key": self.key,
            "user": self.user or None,
            "budget": self.budget.name,
            "percent": self.percent,
            "limit_usd": self.budget.limit_usd,
            "spent_usd": round(self.spent * NANO, 9),
            "resets_at": midnight(self.budget.resets),
        }


@dataclass
class _Watched:
    """What is known of one holder: what is spent of each budget, and the thresholds announced."""

    holder: LimitHolder
    spent: dict[Budget, int]
    announced: dict[Budget, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Add a row to the budgets whose period it is in."""
        for budget in self.spent:
            if budget.first.isoformat() <= row.day < budget.resets.isoformat():
                self.spent[budget] += row.amounts.charged

    def due(self) -> set[date]:
        """Return the last days of budgets that may have reached a threshold not announced yet."""
        return {
            budget.resets - timedelta(days=1)
            for budget, spent in self.spent.items()
            if budget.is_near(spent) and self.announced.get(budget, 0) < THRESHOLDS[-1]
        }


class BudgetWatch:
    """Knows what is spent of budgets without reading it again. Threads may share it.

    *on_threshold* is called once for each threshold and period, whichever worker finds it.
    """

    def __init__(self, on_threshold: Callable[[ThresholdReached], None]):
        self._on_threshold = on_threshold
        self._watched: OrderedDict[tuple[str, str], _Watched] = OrderedDict()
        # By holder, the last days of budgets, which may have ended before they are looked at.
        self._due: dict[tuple[str, str], set[date]] = {}
        self._doubtful: set[str] = set()  # occurrences that the store may have kept unannounced
        self._lock = threading.Lock()

    def know(self, holder: LimitHolder, spent: Spent) -> None:
        """Take over what the store says is spent."""
        names = (holder.name, holder.user)
        with self._lock:
            watched = self._watched.setdefault(names, _Watched(holder, {}))
            self._watched.move_to_end(names)
            watched.holder, watched.spent = holder, dict(spent)
            self._note_due(names, watched)
            if len(self._watched) > MOST_HOLDERS:
                forgotten, _ = self._watched.popitem(last=False)
                self._due.pop(forgotten, None)

    def count(self, rows: Iterable[Row]) -> None:
        """Add the *rows*, which are booked beside what is known."""
        with self._lock:
            for row in rows:
                names = (row.key, row.user)
                if watched := self._watched.get(names):
                    watched.add(row)
                    self._note_due(names, watched)

    def warnings(self, holder: LimitHolder, today: date) -> tuple[BudgetWarning, ...]:
        """Return the thresholds that the holder's budgets of today have reached."""
        with self._lock:
            watched = self._watched.get((holder.name, holder.user))
            spent = dict(watched.spent) if watched else {}
        return tuple(
            BudgetWarning(budget.name, percent)
            for budget, nanos in spent.items()
            if today < budget.resets and (percent := budget.threshold(nanos))
        )

    def announce(
        self,
        today: date,
        read: Callable[[LimitHolder, date], Spent],
        is_new: Callable[[str, str], bool],
    ) -> None:
        """Announce the thresholds that were reached since the last call, also before midnight.

        *read* returns what is spent in all workers up to a day. *is_new* keeps that an occurrence
        of a day is announced, and says whether it was not before. Both may raise StoreFailed.
        """
        with self._lock:
            due, self._due = self._due, {}
            holders = [(self._watched[names].holder, days) for names, days in due.items()]
        for holder, last_days in holders:
            try:
                for day in sorted({min(today, last) for last in last_days}):
                    self._announce(holder, read(holder, day), is_new)
            except StoreFailed as error:
                log.error("thresholds of budgets are announced later: %s", error.details)
                with self._lock:
                    for names in due.keys() & self._watched.keys():
                        self._due.setdefault(names, set()).update(due[names])
                return

    def _announce(
        self, holder: LimitHolder, spent: Spent, is_new: Callable[[str, str], bool]
    ) -> None:
        for budget, nanos in spent.items():
            for percent in THRESHOLDS:
                if not self._announced(holder, budget) < percent <= budget.threshold(nanos):
                    continue
                reached = ThresholdReached(holder.name, holder.user, budget, percent, nanos)
                if self._is_new(reached, is_new):
                    log.warning("budget threshold reached", extra={"facts": reached.facts()})
                    self._on_threshold(reached)
                self._keep_announced(holder, budget, percent)

    def _is_new(self, reached: ThresholdReached, is_new: Callable[[str, str], bool]) -> bool:
        """Say whether it is to be announced; if the store's answer was lost, rather twice."""
        occurrence = reached.occurrence
        try:
            new = is_new(reached.budget.first.isoformat(), occurrence)
        except StoreFailed:
            self._doubtful.add(occurrence)
            raise
        doubtful = occurrence in self._doubtful
        self._doubtful.discard(occurrence)
        return new or doubtful

    def _announced(self, holder: LimitHolder, budget: Budget) -> int:
        with self._lock:
            watched = self._watched.get((holder.name, holder.user))
            return watched.announced.get(budget, 0) if watched else 0

    def _keep_announced(self, holder: LimitHolder, budget: Budget, percent: int) -> None:
        with self._lock:
            if watched := self._watched.get((holder.name, holder.user)):
                current = {each: watched.announced.get(each, 0) for each in watched.spent}
                watched.announced = {**current, budget: percent}

    def _note_due(self, names: tuple[str, str], watched: _Watched) -> None:
        if days := watched.due():
            self._due.setdefault(names, set()).update(days)
