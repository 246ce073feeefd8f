"""The ledger: budgets, rows that wait to be booked, and reports."""

from __future__ import annotations

import random
import threading
from datetime import UTC, date, datetime

import pytest

from tests.support.clock import Clock
from tests.support.log_records import records_of
from wrapper.errors import PermissionDenied, QuotaExceeded, Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services.principal import Principal
from wrapper.services.store_health import StoreFailed
from wrapper.services.usage import backlog
from wrapper.services.usage.ledger import EVER, Ledger
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Amounts, Row, total

NOW = datetime(2026, 11, 26, 23, 59, 59, tzinfo=UTC)
DOLLAR = 10**9
ALICE = Principal("alice", usd_per_day=1.5)
BOB = Principal("bob")
ROOT = Principal("root", admin=True)
NO_DISK = StoreFailed("USAGE_DB: disk full; make room on its disk", "/secret/usage.db")


class Memory:
    """A store that fails on demand and counts its calls."""

    def __init__(self):
        self.rows: list[Row] = []
        self.announced: dict[str, str] = {}
        self.adds_fail = self.reads_fail = False
        self.reads = self.adds = 0
        self.closed = False
        self._lock = threading.Lock()

    def add(self, rows):
        with self._lock:
            self.adds += 1
            if self.adds_fail:
                raise NO_DISK
            self.rows.extend(rows)

    def read(self, first, last, key=None):
        self.reads += 1
        if self.reads_fail:
            raise NO_DISK
        return [
            r for r in self.rows if first <= r.day <= last and key in (None, r.key) and not r.user
        ]

    def read_user(self, first, last, key, user):
        if self.reads_fail:
            raise NO_DISK
        return [r for r in self.rows if first <= r.day <= last and (r.key, r.user) == (key, user)]

    def announce(self, day, occurrence):
        new = occurrence not in self.announced
        self.announced[occurrence] = day
        return new

    def check(self):
        if self.reads_fail:
            raise NO_DISK

    def close(self):
        self.closed = True

    def fail(self, fails=True):
        self.adds_fail = self.reads_fail = fails


def add(ledger, key, model, amounts):
    """Book an amount today."""
    ledger.add(Row(ledger.today().isoformat(), key, model, amounts))


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def store():
    return Memory()


@pytest.fixture
def ledger(store, clock):
    return Ledger(store, required=False, now=clock)


@pytest.fixture
def strict(store, clock):
    return Ledger(store, required=True, now=clock)


def spend(ledger, dollars, key="alice", model="sonnet"):
    add(ledger, key, model, Amounts(1, nanos=round(dollars * DOLLAR)))


def requests(rows):
    return total(row.amounts for row in rows).requests


def test_budget(ledger):
    """A key may begin turns until it has spent its budget, exact to a billionth."""
    ledger.check(ALICE)
    add(ledger, "alice", "sonnet", Amounts(1, nanos=DOLLAR, unpriced_nanos=DOLLAR // 2 - 1))
    ledger.check(ALICE)
    add(ledger, "alice", "haiku", Amounts(unpriced_nanos=1))
    with pytest.raises(QuotaExceeded) as caught:
        ledger.check(ALICE)
    assert caught.value.message == (
        "The budget usd_per_day of the key 'alice' is used up: $1.5000 of $1.5000 are spent; "
        "it starts anew at 2026-11-27T00:00:00Z."
    )
    assert (caught.value.status, caught.value.code) == (429, "insufficient_quota")
    assert error_headers(caught.value) == {
        "x-should-retry": "false",
        "x-budget-warnings": "usd_per_day=100",
    }


def test_budgets_of_others(ledger):
    """The spending of another key does not count."""
    spend(ledger, 100, key="bob")
    ledger.check(ALICE)


def test_no_money_at_all(ledger):
    """A budget of 0 is used up from the start."""
    with pytest.raises(QuotaExceeded):
        ledger.check(Principal("carol", usd_per_month=0))


def test_what_is_given_back(ledger):
    """Amounts that are booked back can be spent again."""
    add(ledger, "alice", "sonnet", Amounts(unpriced_nanos=2 * DOLLAR))
    add(ledger, "alice", "sonnet", Amounts(1, nanos=DOLLAR, unpriced_nanos=-2 * DOLLAR))
    ledger.check(ALICE)


@pytest.mark.parametrize(
    ("now", "then", "resets"),
    [
        (NOW, datetime(2026, 11, 27, tzinfo=UTC), "2026-11-27"),
        (datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), "2027-01-01"),
        (datetime(2028, 2, 28, 12, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC), "2028-02-29"),
    ],
)
def test_new_day(ledger, clock, now, then, resets):
    """The budget of a day starts anew at midnight, which the error says."""
    clock.now = now
    spend(ledger, 2)
    with pytest.raises(QuotaExceeded, match=f"starts anew at {resets}T00:00:00Z"):
        ledger.check(ALICE)
    clock.now = then
    ledger.check(ALICE)


def test_budget_of_another_day(ledger, clock):
    """A day's budget can be checked after the day, and what was spent later does not count."""
    clock.now = datetime(2026, 11, 27, tzinfo=UTC)
    spend(ledger, 2)
    ledger.check(ALICE, NOW.date())
    ledger.add(Row(NOW.date().isoformat(), "alice", "sonnet", Amounts(nanos=2 * DOLLAR)))
    with pytest.raises(QuotaExceeded):
        ledger.check(ALICE, NOW.date())


@pytest.mark.parametrize(
    ("first", "last", "then"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), NOW.replace(day=30), date(2026, 12, 1)),
        (datetime(2026, 12, 1, tzinfo=UTC), NOW.replace(month=12, day=31), date(2027, 1, 1)),
        (
            datetime(2028, 2, 1, tzinfo=UTC),
            NOW.replace(year=2028, month=2, day=29),
            date(2028, 3, 1),
        ),
    ],
)
def test_new_month(ledger, clock, first, last, then):
    """The budget of a month counts the whole month and starts anew with the next one."""
    carol = Principal("carol", usd_per_day=10, usd_per_month=1)
    clock.now = first
    spend(ledger, 1, key="carol")
    clock.now = last
    with pytest.raises(QuotaExceeded, match=f"usd_per_month .* {then}T00:00:00Z"):
        ledger.check(carol)
    clock.now = datetime(then.year, then.month, then.day, tzinfo=UTC)
    ledger.check(carol)


def test_day_within_month(ledger, clock):
    """Only today's rows count for the budget of a day."""
    carol = Principal("carol", usd_per_day=1, usd_per_month=3)
    for day in (1, 2):
        clock.now = NOW.replace(day=day)
        spend(ledger, 1, key="carol")
    clock.now = NOW
    ledger.check(carol)
    spend(ledger, 1, key="carol")
    with pytest.raises(QuotaExceeded, match=r"usd_per_day .* \$1\.0000 of"):
        ledger.check(carol)


def test_without_budget(ledger, store):
    """A key without a budget does not read the store."""
    store.fail()
    ledger.check(BOB)
    assert store.reads == 0


def test_backlog(ledger, store, clock, caplog):
    """Rows that wait are booked with the next ones, once and in their own day."""
    store.fail()
    spend(ledger, 1)
    spend(ledger, 1)
    clock.now = datetime(2026, 11, 27, tzinfo=UTC)
    spend(ledger, 1)
    assert [record.levelname for record in records_of(caplog, Ledger)] == ["ERROR"] * 3
    assert "/secret/usage.db" in caplog.text
    store.fail(False)
    spend(ledger, 1, key="bob")
    spend(ledger, 1, key="bob")
    assert [(row.day, row.key, row.amounts.requests) for row in store.rows] == [
        ("2026-11-26", "alice", 2),
        ("2026-11-27", "alice", 1),
        ("2026-11-27", "bob", 1),
        ("2026-11-27", "bob", 1),
    ]


def test_backlog_counts(ledger, store, clock):
    """Waiting rows count together with stored ones, and alone where those cannot be read."""
    spend(ledger, 1)
    store.adds_fail = True
    spend(ledger, 0.4)
    ledger.check(ALICE)
    spend(ledger, 0.1)
    with pytest.raises(QuotaExceeded, match=r"\$1\.5000"):
        ledger.check(ALICE)
    store.reads_fail = True
    ledger.check(ALICE)
    spend(ledger, 1)
    with pytest.raises(QuotaExceeded, match=r"\$1\.5000"):
        ledger.check(ALICE)
    clock.now = datetime(2026, 11, 27, tzinfo=UTC)
    ledger.check(ALICE)


def test_unreadable(ledger, store, caplog):
    """While the store fails and is not required, turns go on and the log has an error."""
    store.fail()
    ledger.check(ALICE)
    assert records_of(caplog, Ledger)[-1].levelname == "ERROR"


def test_required_add(strict, store):
    """With USAGE_REQUIRED a turn that cannot be booked fails for good, and its rows wait."""
    store.fail()
    with pytest.raises(Unavailable, match=r"USAGE_REQUIRED is set\. USAGE_DB: disk full") as caught:
        spend(strict, 1)
    assert error_headers(caught.value) == {"x-should-retry": "false"}
    assert "/secret" not in caught.value.message
    store.fail(False)
    spend(strict, 1)
    assert requests(store.rows) == 2


@pytest.mark.parametrize("principal", [ALICE, BOB])
def test_required_check(strict, store, principal):
    """With USAGE_REQUIRED no turn of any key begins while the store fails."""
    strict.check(principal)
    store.fail()
    with pytest.raises(Unavailable, match="USAGE_DB: disk full") as caught:
        strict.check(principal)
    assert (caught.value.status, caught.value.retry) == (503, None)
    store.fail(False)
    strict.check(principal)


def test_required_and_readable(strict, store):
    """With USAGE_REQUIRED no turn begins while rows wait, even if the store can be read."""
    store.adds_fail = True
    with pytest.raises(Unavailable):
        spend(strict, 1, key="bob")
    with pytest.raises(Unavailable, match="disk full"):
        strict.check(BOB)
    store.adds_fail = False
    strict.check(BOB)
    assert requests(store.rows) == 1
    assert strict.health() == {"status": "ok", "unbooked": 0}


def test_health(ledger, store):
    """Health shows a failing store and waiting rows, and does not call the store."""
    assert ledger.health() == {"status": "ok", "unbooked": 0}
    store.adds_fail = True
    spend(ledger, 1)
    spend(ledger, 1)
    spend(ledger, 1, model="haiku")
    ledger.check(Principal("carol", usd_per_day=1))  # reading proves nothing
    asked = (store.reads, store.adds)
    error = "USAGE_DB: disk full; make room on its disk"
    assert ledger.health() == {"status": "failing", "unbooked": 2, "error": error}
    assert (store.reads, store.adds) == asked
    store.fail(False)
    spend(ledger, 1)
    assert ledger.health() == {"status": "ok", "unbooked": 0}


def test_health_of_reading(ledger, store):
    """A store that cannot be read is failing until it can be read."""
    store.fail()
    ledger.check(ALICE)
    assert ledger.health()["status"] == "failing"
    store.fail(False)
    ledger.check(ALICE)
    assert ledger.health()["status"] == "ok"


def test_close(ledger, store):
    """Closing books the waiting rows first."""
    store.fail()
    spend(ledger, 1)
    store.fail(False)
    ledger.close()
    assert requests(store.rows) == 1
    assert store.closed


def test_close_of_a_failing_store(ledger, store, caplog):
    """Rows that cannot be booked on close are logged one by one."""
    store.fail()
    spend(ledger, 1)
    spend(ledger, 2, key="bob")
    ledger.close()
    lost = [record.getMessage() for record in caplog.records if "lost" in record.getMessage()]
    assert len(lost) == 2
    assert "key='bob'" in lost[1]
    assert f"nanos={2 * DOLLAR}" in lost[1]
    assert store.closed


def test_a_crash_keeps_the_rows(ledger, store, monkeypatch):
    """No row is lost whatever a store raises."""

    def crash(rows):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "add", crash)
        with pytest.raises(KeyboardInterrupt):
            spend(ledger, 1)
    spend(ledger, 1)
    assert requests(store.rows) == 2


def test_report(ledger, clock):
    """A report has a line for each day, key and model, their sum, and the caller's budgets."""
    clock.now = NOW.replace(day=1)
    add(ledger, "alice", "sonnet", Amounts(1, 10, 20, 30, 5, 2, DOLLAR // 4, 500))
    clock.now = NOW
    add(ledger, "alice", "haiku", Amounts(2, 1, 0, 0, 1, 0, DOLLAR, 0))
    spend(ledger, 9, key="bob")
    caller = Principal("alice", usd_per_day=2, usd_per_month=10)
    body = ledger.report(caller, date(2026, 11, 1), date(2026, 11, 26))
    first = {
        "requests": 1,
        "prompt_tokens": 60,
        "cached_tokens": 20,
        "cache_write_tokens": 30,
        "completion_tokens": 5,
        "reasoning_tokens": 2,
        "total_tokens": 65,
        "cost_usd": 0.25,
        "unpriced_usd": 0.0000005,
    }
    second = dict.fromkeys(first, 0.0) | {"requests": 2, "prompt_tokens": 1}
    second |= {"completion_tokens": 1, "total_tokens": 2, "cost_usd": 1.0}
    lasts = {"exhausted_at": None}
    spent = {"limit_usd": 10, "spent_usd": 1.2500005, "resets_at": "2026-12-01T00:00:00Z", **lasts}
    today = {"limit_usd": 2, "spent_usd": 1.0, "resets_at": "2026-11-27T00:00:00Z", **lasts}
    forecast = body.pop("forecast").values()
    assert [period["spent_usd"] for period in forecast] == [1.0, 1.2500005]
    assert body == {
        "object": "usage",
        "start": "2026-11-01",
        "end": "2026-11-26",
        "data": [
            {"day": "2026-11-01", "key": "alice", "model": "sonnet", **first},
            {"day": "2026-11-26", "key": "alice", "model": "haiku", **second},
        ],
        "total": {name: first[name] + second[name] for name in first},
        "budgets": {"usd_per_day": today, "usd_per_month": spent},
    }


def test_report_of_other_days(ledger, clock):
    """A report holds the requested days; its budgets are always today's."""
    spend(ledger, 1)
    body = ledger.report(ALICE, date(2026, 10, 1), date(2026, 10, 31))
    assert body["data"] == []
    assert body["total"]["requests"] == 0
    assert body["budgets"]["usd_per_day"]["spent_usd"] == 1.0


def test_report_with_backlog(ledger, store):
    """Waiting amounts are in the report, added to their row."""
    spend(ledger, 1)
    store.adds_fail = True
    spend(ledger, 1)
    spend(ledger, 1, key="Zoe")
    body = ledger.report(ROOT, NOW.date(), NOW.date())
    assert [(row["key"], row["cost_usd"]) for row in body["data"]] == [("Zoe", 1.0), ("alice", 2.0)]
    assert body["total"]["cost_usd"] == 3.0


def test_who_sees_what(ledger):
    """An admin sees all keys or one; other callers see only their own."""

    def seen(principal, key=None):
        body = ledger.report(principal, NOW.date(), NOW.date(), key)
        return [row["key"] for row in body["data"]]

    spend(ledger, 1)
    spend(ledger, 1, key="bob")
    assert seen(ROOT) == ["alice", "bob"]
    assert seen(ROOT, "bob") == ["bob"]
    assert seen(ROOT, "carol") == []
    assert seen(BOB) == seen(BOB, "bob") == ["bob"]
    with pytest.raises(PermissionDenied, match="'bob' may not see what 'alice' spends"):
        seen(BOB, "alice")
    assert ledger.report(ROOT, NOW.date(), NOW.date())["budgets"] == {}


def test_report_of_a_failing_store(ledger, store):
    """While the store cannot be read, a report is a 503, required or not."""
    store.fail()
    with pytest.raises(Unavailable, match="USAGE_DB: disk full"):
        ledger.report(ROOT, NOW.date(), NOW.date())


def test_readers_do_not_wait(ledger, store, monkeypatch):
    """Rows that are being booked slowly count once, and delay nobody."""
    store.adds_fail = True
    spend(ledger, 2)
    store.adds_fail = False
    begun, go = threading.Event(), threading.Event()
    add = store.add

    def slow(rows):
        begun.set()
        assert go.wait(20)
        add(rows)

    monkeypatch.setattr(store, "add", slow)
    thread = threading.Thread(target=spend, args=(ledger, 1, "bob"))
    thread.start()
    assert begun.wait(20)
    with pytest.raises(QuotaExceeded, match=r"\$2\.0000"):
        ledger.check(ALICE)
    assert ledger.health()["unbooked"] == 1
    monkeypatch.setattr(store, "add", add)
    spend(ledger, 1, "carol")  # it does not write the backlog a second time
    go.set()
    thread.join()
    assert sorted(row.key for row in store.rows) == ["alice", "bob", "carol"]


def test_landing_while_reading(ledger, store, monkeypatch):
    """Rows that are booked during a read are neither missed nor counted twice."""
    store.adds_fail = True
    spend(ledger, 2)
    store.adds_fail = False
    read = store.read

    def interrupted(*arguments):
        rows = read(*arguments)
        if len(store.rows) == 0:
            spend(ledger, 1, "bob")
        return rows

    monkeypatch.setattr(store, "read", interrupted)
    with pytest.raises(QuotaExceeded, match=r"\$2\.0000"):
        ledger.check(ALICE)


def test_landing_before_reading(ledger, store, monkeypatch):
    """Rows that the store has got, but not confirmed yet, are not counted twice."""
    monkeypatch.setattr(backlog, "PATIENCE_SECONDS", 20.0)
    store.adds_fail = True
    spend(ledger, 1)
    store.adds_fail = False
    landed, was_read, add, read = threading.Event(), threading.Event(), store.add, store.read

    def confirmed_late(rows):
        add(rows)
        landed.set()
        assert was_read.wait(20)

    def noted(*arguments):
        rows = read(*arguments)
        was_read.set()
        return rows

    monkeypatch.setattr(store, "add", confirmed_late)
    monkeypatch.setattr(store, "read", noted)
    thread = threading.Thread(target=ledger.retry)
    thread.start()
    assert landed.wait(20)
    ledger.check(ALICE)
    thread.join()


def test_threads_and_a_flaky_store(store, clock, tmp_path):
    """Rows that threads add while the store fails sometimes are neither lost nor doubled."""
    real = SqliteUsageStore(str(tmp_path / "usage.db"))
    chance = random.Random(4)

    class Flaky(Memory):
        def add(self, rows):
            if chance.random() < 0.4:
                raise NO_DISK
            real.add(rows)

    ledger = Ledger(Flaky(), required=False, now=clock)

    def work(number):
        for _ in range(40):
            add(ledger, f"key{number % 3}", "sonnet", Amounts(1, nanos=number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while ledger.health()["unbooked"]:
        add(ledger, "last", "sonnet", Amounts(0, output=1))
    kept = [row.amounts for row in real.read(*EVER) if row.key != "last"]
    assert total(kept) == Amounts(320, nanos=40 * sum(range(8)))
    real.close()


def test_looks_again(ledger, store):
    """Waiting rows are booked once the store works, even without requests."""
    store.fail()
    spend(ledger, 1)
    ledger.retry()
    assert ledger.health()["unbooked"] == 1
    store.fail(False)
    ledger.retry()
    assert ledger.health() == {"status": "ok", "unbooked": 0}
    assert requests(store.read(*EVER)) == 1


def test_a_failure_before_the_first_use(ledger, store, caplog):
    """Without any request the health shows a store that fails, and the log has it once."""
    store.fail()
    for _ in range(2):
        ledger.retry()
    assert ledger.health() == {"status": "failing", "unbooked": 0, "error": NO_DISK.message}
    assert len(records_of(caplog, Ledger)) == 1
    store.fail(False)
    ledger.retry()
    assert ledger.health() == {"status": "ok", "unbooked": 0}


def test_the_store_is_checked_once_started(store, clock, monkeypatch):
    """A ledger that was started checks its store by itself, again and again."""
    monkeypatch.setattr("wrapper.services.usage.ledger.RETRY_SECONDS", 0.001)
    ledger, checks = Ledger(store, required=False, now=clock), threading.Semaphore(0)

    def check():
        checks.release()
        raise NO_DISK

    store.check = check
    ledger.start()
    for _ in range(2):  # the second check begins after the first has failed
        assert checks.acquire(timeout=60)
    assert ledger.health()["status"] == "failing"
    ledger.close()
