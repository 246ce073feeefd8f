"""The ledger: books what each key spends, and checks budgets."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from wrapper.errors import Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.principal import Principal
from wrapper.services.usage.access import readable_key
from wrapper.services.usage.backlog import Backlog
from wrapper.services.usage.budget import Budget, budgets
from wrapper.services.usage.redis_store import RedisUsageStore
from wrapper.services.usage.report import report
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Row, StoreFailed, UsageStore
from wrapper.settings import Settings

log = logging.getLogger(__name__)
# Seconds between two checks of the store. A failed one also gets the rows that wait.
RETRY_SECONDS = 2.0
EVER = ("0000-01-01", "9999-12-31")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Books usage into *store*. Threads may share it, and readers do not wait for writers.

    Rows that the store does not take wait in memory and are booked with the next ones. They count
    meanwhile. With *required*, turns get a 503 while rows wait. *now* returns the time in UTC, by
    which days and months begin.
    """

    def __init__(
        self, store: UsageStore, *, required: bool, now: Callable[[], datetime] = _utc_now
    ):
        self._store = store
        self._required = required
        self._now = now
        self._backlog = Backlog()
        self._failure = ""  # why the store failed last; anyone may see it
        self._retrying = PeriodicTask(self.retry, RETRY_SECONDS)

    def start(self) -> None:
        """Begin to check the store in the background, so that health shows a failure before use."""
        self._retrying.start()

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
                raise _required(error.reason, retry=False) from None

    def check(self, principal: Principal) -> None:
        """Check that *principal* may begin a turn.

        Raises QuotaExceeded where a budget is used up, and Unavailable where the store fails and is
        required. Where a failed store is not required, only the rows that wait count.
        """
        today = self.today()
        own = budgets(principal, today)
        if self._required:
            self._catch_up()
        elif not own:
            return
        try:
            rows = self._own(principal, own, today)
        except StoreFailed as error:
            if self._required:
                raise _required(error.reason) from None
            rows = self._backlog.rows(*EVER, principal.name)
        for budget in own:
            budget.check(rows, principal.name)

    def report(
        self, principal: Principal, first: date, last: date, key: str | None = None
    ) -> dict[str, Any]:
        """Return the body of GET /v1/usage for the days from *first* to *last*.

        Raises PermissionDenied where *key* is another caller's and *principal* is no admin, and
        Unavailable where the store cannot be read.
        """
        chosen = readable_key(principal, key, f"what {key!r} spends")
        today = self.today()
        own = budgets(principal, today)
        try:
            rows = self._read(first.isoformat(), last.isoformat(), chosen)
            spent = self._own(principal, own, today) if own else []
        except StoreFailed as error:
            raise Unavailable(f"What was spent cannot be read. {error.reason}") from None
        return report(first, last, rows, spent, budgets=own)

    def budgets(self, principal: Principal) -> dict[str, Any]:
        """Return the state of the principal's budgets, by name. Raises Unavailable."""
        today = self.today()
        return dict(self.report(principal, today, today, principal.name)["budgets"])

    def health(self) -> dict[str, Any]:
        """Return the state that was seen last. `unbooked` counts the rows that wait."""
        unbooked = len(self._backlog)
        failure = self._failure
        if not unbooked and not failure:
            return {"status": "ok", "unbooked": 0}
        return {"status": "failing", "unbooked": unbooked, "error": failure}

    def retry(self) -> None:
        """Book the rows that wait, so that they do not wait long, or check the store."""
        try:
            if self._backlog:
                self._backlog.book(self._store.add)
            else:
                self._store.check()
        except StoreFailed as error:
            if error.reason != self._failure:
                log.error("usage cannot be recorded: %s", error)
            self._failed(error)
        else:
            self._worked()

    def close(self) -> None:
        """Try to book the waiting rows once more, and log each row that is lost."""
        self._retrying.close()
        with contextlib.suppress(StoreFailed):  # it is logged
            self._book()
        for row in self._backlog.rows(*EVER):
            log.error("lost, for it could not be booked: %s", row)
        self._store.close()

    def _book(self, *fresh: Row) -> None:
        try:
            self._backlog.book(self._store.add, fresh)
        except StoreFailed as error:
            self._failed(error)
            log.error("what was spent is not booked; %d rows wait: %s", len(self._backlog), error)
            raise
        self._worked()

    def _catch_up(self) -> None:
        """Book the waiting rows before more is spent."""
        if self._backlog:
            try:
                self._book()
            except StoreFailed as error:
                raise _required(error.reason) from None
            if self._backlog:  # another thread is booking it
                raise _required(self._failure)

    def _own(self, principal: Principal, own: list[Budget], today: date) -> list[Row]:
        """Return the principal's rows in the time of its budgets."""
        first = min((budget.first for budget in own), default=today)
        return self._read(first.isoformat(), today.isoformat(), principal.name)

    def _read(self, first: str, last: str, key: str | None) -> list[Row]:
        try:
            rows = self._backlog.read_with_store(self._store.read, first, last, key)
        except StoreFailed as error:
            self._failed(error)
            log.error("what was spent cannot be read: %s", error)
            raise
        self._worked()
        return rows

    def _failed(self, error: StoreFailed) -> None:
        self._failure = error.reason
        self._retrying.start()

    def _worked(self) -> None:
        """Clear the failure, unless rows wait: then a read does not prove that writing works."""
        if not self._backlog:
            self._failure = ""


def _required(reason: str, retry: bool | None = None) -> Unavailable:
    why = f" {reason}" if reason else ""
    return Unavailable(
        f"What is spent cannot be booked, and USAGE_REQUIRED is set.{why}", retry=retry
    )


def open_store(settings: Settings) -> RedisUsageStore | SqliteUsageStore:
    """Return the store that the settings name. It is opened on first use."""
    if settings.redis_url:
        return RedisUsageStore(settings.redis_url)
    return SqliteUsageStore(settings.usage_db)
