"""The ledger: books what each key spends, and checks budgets."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from wrapper.errors import Unavailable
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.principal import LimitHolder, Principal
from wrapper.services.store_health import StoreFailed, raising_unavailable
from wrapper.services.usage.access import readable_key
from wrapper.services.usage.backlog import Backlog
from wrapper.services.usage.budget import Budget, budgets, month_of
from wrapper.services.usage.budget_watch import BudgetWatch, ThresholdReached
from wrapper.services.usage.redis_store import RedisUsageStore
from wrapper.services.usage.report import budget_report, report
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Row, UsageStore
from wrapper.settings import Settings

log = logging.getLogger(__name__)
# Seconds between two checks of the store. A failed one also gets the rows that wait.
RETRY_SECONDS = 2.0
EVER = ("0000-01-01", "9999-12-31")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Books usage into *store*. Threads may share it, and readers hardly wait for writers.

    Rows that the store does not take wait in memory and are booked with the next ones. They count
    meanwhile. With *required*, turns get a 503 while rows wait. *now* returns the time in UTC, by
    which days and months begin. *on_threshold* is called in the background, once for each threshold
    that a budget reaches in a day or a month.
    """

    def __init__(
        self,
        store: UsageStore,
        *,
        required: bool,
        now: Callable[[], datetime] = _utc_now,
        on_threshold: Callable[[ThresholdReached], None] = lambda reached: None,
    ):
        self._store = store
        self._required = required
        self._now = now
        self._backlog = Backlog()
        self._failure = ""  # why the store failed last; anyone may see it
        self._watch = BudgetWatch(on_threshold)
        self._periodic = PeriodicTask(self.tick, RETRY_SECONDS)

    def start(self) -> None:
        """Begin to check the store, so that health shows a failure before use, and to announce."""
        self._periodic.start()

    def today(self) -> date:
        return self._now().date()

    def add(self, *rows: Row) -> None:
        """Book *rows*. Where that fails they wait in memory.

        Raises Unavailable where they could not be booked and booking is required.
        """
        try:
            self._book(*rows)
        except StoreFailed as error:
            if self._required:
                raise _required(error.message, retry=False) from None
        finally:
            self._watch.count(rows)

    def check(self, holder: LimitHolder, day: date | None = None) -> None:
        """Check that *holder*, a key or a user below it, may spend more on *day*, or else today.

        Raises QuotaExceeded where a budget is used up, and Unavailable where the store fails and is
        required. Where a failed store is not required, only the rows that wait count.
        """
        today = self.today()
        day = day or today
        own = budgets(holder, day)
        if self._required:
            self._catch_up()
        elif not own:
            return
        try:
            rows = self._own(holder, own, day)
        except StoreFailed as error:
            if self._required:
                raise _required(error.message) from None
            rows = self._backlog.rows(EVER[0], day.isoformat(), holder.name, holder.user)
        spent = {budget: budget.spent(rows) for budget in own}
        if own and day == today:
            self._watch.know(holder, spent)
        for budget, nanos in spent.items():
            budget.check(nanos, holder.label)

    def notes(self, *holders: LimitHolder) -> Notes:
        """Return the thresholds that budgets have reached, as far as this worker knows."""
        today = self.today()
        warnings = [each for holder in holders for each in self._watch.warnings(holder, today)]
        return Notes(budget_warnings=tuple(warnings)) if warnings else NO_NOTES

    def report(
        self, principal: Principal, first: date, last: date, key: str | None = None
    ) -> dict[str, Any]:
        """Return the body of GET /v1/usage for the days from *first* to *last*.

        Raises PermissionDenied where *key* is another caller's and *principal* is no admin, and
        Unavailable where the store cannot be read.
        """
        chosen = readable_key(principal, key, f"what {key!r} spends")
        now = self._now()
        begins, ends = month_of(now.date())
        with raising_unavailable("What was spent cannot be read."):
            rows = self._read(first.isoformat(), last.isoformat(), chosen)
            month = self._read(begins.isoformat(), ends.isoformat(), chosen)
        days = {"start": first.isoformat(), "end": last.isoformat()}
        return {**days, **report(rows, month, now), "budgets": self.budgets(principal)}

    def budgets(self, principal: Principal) -> dict[str, Any]:
        """Return the state of the principal's budgets, by name. Raises Unavailable."""
        now = self._now()
        own = budgets(principal, now.date())
        with raising_unavailable("What was spent cannot be read."):
            rows = self._own(principal, own, now.date()) if own else []
        return budget_report(own, rows, now)

    def health(self) -> dict[str, Any]:
        """Return the state that was seen last. `unbooked` counts the rows that wait."""
        unbooked = len(self._backlog)
        failure = self._failure
        if not unbooked and not failure:
            return {"status": "ok", "unbooked": 0}
        return {"status": "failing", "unbooked": unbooked, "error": failure}

    def tick(self) -> None:
        """Do what is done in the background: retry, and announce thresholds of budgets."""
        self.retry()
        if not self._failure:
            self._watch.announce(self.today(), self._spent, self._store.announce)

    def retry(self) -> None:
        """Book the rows that wait, so that they do not wait long, or check the store."""
        try:
            if self._backlog:
                self._backlog.book(self._store.add)
            else:
                self._store.check()
        except StoreFailed as error:
            if error.message != self._failure:
                log.error("usage cannot be recorded: %s", error.details)
            self._failed(error)
        else:
            self._worked()

    def close(self) -> None:
        """Try to book the waiting rows once more, and log each row that is lost."""
        self._periodic.close()
        with contextlib.suppress(StoreFailed):  # it is logged
            self._book()
            self._watch.announce(self.today(), self._spent, self._store.announce)
        for row in self._backlog.rows(*EVER):
            log.error("lost, for it could not be booked: %s", row)
        self._store.close()

    def _book(self, *fresh: Row) -> None:
        try:
            self._backlog.book(self._store.add, fresh)
        except StoreFailed as error:
            self._failed(error)
            waiting = len(self._backlog)
            log.error("what was spent is not booked; %d rows wait: %s", waiting, error.details)
            raise
        self._worked()

    def _catch_up(self) -> None:
        """Book the waiting rows before more is spent."""
        if self._backlog:
            try:
                self._book()
            except StoreFailed as error:
                raise _required(error.message) from None
            if self._backlog:  # another thread is booking it
                raise _required(self._failure)

    def _spent(self, holder: LimitHolder, day: date) -> dict[Budget, int]:
        """Return what is spent of the holder's budgets of *day*. Raises StoreFailed."""
        own = budgets(holder, day)
        rows = self._own(holder, own, day)
        return {budget: budget.spent(rows) for budget in own}

    def _own(self, holder: LimitHolder, own: list[Budget], day: date) -> list[Row]:
        """Return the holder's rows in the time of its budgets until *day*."""
        first = min((budget.first for budget in own), default=day)
        return self._read(first.isoformat(), day.isoformat(), holder.name, holder.user)

    def _read(self, first: str, last: str, key: str | None, user: str = "") -> list[Row]:
        if key is not None and user:
            read = partial(self._store.read_user, first, last, key, user)
        else:
            read = partial(self._store.read, first, last, key)
        try:
            rows = self._backlog.read_with_store(read, first, last, key, user)
        except StoreFailed as error:
            self._failed(error)
            log.error("what was spent cannot be read: %s", error.details)
            raise
        self._worked()
        return rows

    def _failed(self, error: StoreFailed) -> None:
        self._failure = error.message
        self._periodic.start()

    def _worked(self) -> None:
        """Clear the failure, unless rows wait: then a read does not prove that writing works."""
        if not self._backlog:
            self._failure = ""


def _required(reason: str, retry: bool | None = None) -> Unavailable:
    why = f" {reason}" if reason else ""
    return Unavailable(
        f"What is spent cannot be booked, and USAGE_REQUIRED is set.{why}", retry=retry
    )


# It also keeps how tools were used, and the limits of the provider's logins.
KeptUsage = RedisUsageStore | SqliteUsageStore


def open_store(settings: Settings) -> KeptUsage:
    """Return the store that the settings name. It is opened on first use."""
    if settings.redis_url:
        return RedisUsageStore(settings.redis_url)
    return SqliteUsageStore(settings.usage_db)
