"""The ledger: books what every key spends, and says who may spend more."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from wrapper.errors import PermissionDenied, Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.principal import Principal
from wrapper.services.usage.backlog import Backlog
from wrapper.services.usage.budget import Budget, budgets
from wrapper.services.usage.redis_store import RedisUsageStore
from wrapper.services.usage.report import report
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Row, StoreFailed, UsageStore
from wrapper.settings import Settings

log = logging.getLogger(__name__)
# How soon a store that was of no use is tried again where nobody asks.
LOOK_SECONDS = 2.0
EVER = ("0000-01-01", "9999-12-31")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Books into *store*. Threads may use it at once, and readers do not wait for writers.

    What the store does not take waits in memory and is booked with what is next; until then it
    counts all the same. *required* stops turns, with 503, as long as something waits. *now* gives
    the time in UTC, by which days and months begin.
    """

    def __init__(
        self, store: UsageStore, *, required: bool, now: Callable[[], datetime] = _utc_now
    ):
        self._store = store
        self._required = required
        self._now = now
        self._backlog = Backlog()
        self._failure = ""  # why the store was last of no use, as anyone may be told
        self._janitor = PeriodicTask(self.look_again, LOOK_SECONDS)

    def today(self) -> date:
        return self._now().date()

    def add(self, *rows: Row) -> None:
        """Book *rows*; they are kept whatever happens.

        Raises Unavailable where they could not be booked and that is required.
        """
        try:
            self._book(*rows)
        except StoreFailed as error:
            if self._required:
                raise _required(error.reason, retry=False) from None

    def check(self, principal: Principal) -> None:
        """Let *principal* pass who may begin a turn.

        Raises QuotaExceeded where a budget is used up, and Unavailable where the store is of no
        use and required. Where it is not required, only what waits to be booked counts then.
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

        Raises PermissionDenied where *key* is another's and *principal* no admin, and Unavailable
        where the store cannot be read.
        """
        if not principal.admin and key not in (None, principal.name):
            raise PermissionDenied(
                f"{principal.name!r} may not see what {key!r} spends; an admin's key may.",
                param="key",
            )
        chosen = key if principal.admin else principal.name
        today = self.today()
        own = budgets(principal, today)
        try:
            rows = self._read(first.isoformat(), last.isoformat(), chosen)
            spent = self._own(principal, own, today) if own else []
        except StoreFailed as error:
            raise Unavailable(f"What was spent cannot be read. {error.reason}") from None
        return report(first, last, rows, spent, budgets=own)

    def health(self) -> dict[str, Any]:
        """Return the state by what was seen last: `unbooked` counts rows that wait."""
        unbooked = len(self._backlog)
        failure = self._failure
        if not unbooked and not failure:
            return {"status": "ok", "unbooked": 0}
        return {"status": "failing", "unbooked": unbooked, "error": failure}

    def look_again(self) -> None:
        """Try a store that was of no use, so that nothing waits longer than it has to."""
        today = self.today().isoformat()
        with contextlib.suppress(StoreFailed):  # which log and health have told
            if self._backlog:
                self._backlog.book(self._store.add)
            elif self._failure:
                self._store.read(today, today)
            self._worked()

    def close(self) -> None:
        """Book what waits, once more, and tell the log of every row that is lost."""
        self._janitor.close()
        with contextlib.suppress(StoreFailed):  # which is logged
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
        """Book what waits before more is spent."""
        if self._backlog:
            try:
                self._book()
            except StoreFailed as error:
                raise _required(error.reason) from None
            if self._backlog:  # another thread is at it
                raise _required(self._failure)

    def _own(self, principal: Principal, own: list[Budget], today: date) -> list[Row]:
        """Return the principal's rows that its budgets are about."""
        first = min((budget.first for budget in own), default=today)
        return self._read(first.isoformat(), today.isoformat(), principal.name)

    def _read(self, first: str, last: str, key: str | None) -> list[Row]:
        try:
            rows = self._backlog.beside(self._store.read, first, last, key)
        except StoreFailed as error:
            self._failed(error)
            log.error("what was spent cannot be read: %s", error)
            raise
        self._worked()
        return rows

    def _failed(self, error: StoreFailed) -> None:
        self._failure = error.reason
        self._janitor.start()

    def _worked(self) -> None:
        """Take note that the store works; to read is no proof while something waits."""
        if not self._backlog:
            self._failure = ""


def _required(told: str, retry: bool | None = None) -> Unavailable:
    reason = f" {told}" if told else ""
    return Unavailable(
        f"What is spent cannot be booked, and USAGE_REQUIRED is set.{reason}", retry=retry
    )


def open_store(settings: Settings) -> UsageStore:
    """Return the store that the settings name; it is opened when it is used."""
    if settings.redis_url:
        return RedisUsageStore(settings.redis_url)
    return SqliteUsageStore(settings.usage_db)
