"""The booking: what turns use is kept as it becomes known, and once."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.storage import MemoryStorage

from tests.support.clock import Clock
from tests.support.lost_answers import fail_once
from wrapper.errors import Unavailable
from wrapper.services.events import (
    Ended,
    Ending,
    LimitsReported,
    Started,
    TextDelta,
    ToolUsed,
    Used,
)
from wrapper.services.limits.rate_limits import RateLimits
from wrapper.services.principal import Caller, Principal
from wrapper.services.provider_limits import ProviderLimits
from wrapper.services.spent import Spent, Usage
from wrapper.services.telemetry.metrics import NullMetrics
from wrapper.services.telemetry.observers import Observers
from wrapper.services.turns.usage_recorder import UsageRecorder
from wrapper.services.usage.ledger import Ledger
from wrapper.services.usage.login_limits import LoginLimits
from wrapper.services.usage.prices import DEAREST
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Amounts
from wrapper.services.usage.tool_counts import ToolCounts
from wrapper.services.usage.tool_stats import ToolStats

ALICE = Principal("alice", tokens_per_minute=1_000_000)


class Books:
    """A ledger that only remembers."""

    def __init__(self):
        self.days = [date(2026, 11, 30), date(2026, 12, 1)]
        self.kept = {}

    def today(self):
        return self.days.pop(0)

    def add(self, *rows):
        for row in rows:
            assert row.key == "alice"
            place = (row.day, row.model)
            self.kept[place] = self.kept.get(place, Amounts()) + row.amounts


class ToolBooks:
    """Tool statistics that only remember."""

    def __init__(self):
        self.added = []

    def add(self, day, key, counts):
        self.added.append((day, key, counts))


class LimitBooks:
    """Limits of logins that are only remembered."""

    def __init__(self):
        self.reports = []

    def learn(self, report):
        self.reports.append(report)


class Desk:
    def __init__(self):
        self.tools = ToolBooks()
        self.login_limits = LimitBooks()
        self.books = Books()
        self.rates = RateLimits(MemoryStorage(), required=False)
        self.observers = Observers(
            NullMetrics(), cast(ToolStats, self.tools), cast(LoginLimits, self.login_limits)
        )
        books = cast(Ledger, self.books)
        self.recorder = UsageRecorder(Caller(ALICE), books, self.rates, self.observers)

    def tell(self, index=0, /, **spent):
        self.recorder.add(index, Used({name: Spent(*one) for name, one in spent.items()}))

    def kept(self, model):
        return self.books.kept["2026-11-30", model]

    def tokens(self):
        return 1_000_000 - self.rates.notes(ALICE).rates[0].remains


@pytest.fixture
def desk():
    return Desk()


def test_as_it_becomes_known(desk):
    """Each time more is known the books hold it, and in the end just what the engine says."""
    desk.tell(m=(Usage(input=100), None))
    assert desk.kept("m") == Amounts(requests=1, input=100, unpriced_nanos=100 * DEAREST)
    desk.tell(m=(Usage(input=100, output=7), None))
    dear = 100 * DEAREST + 7 * 5 * DEAREST
    assert desk.kept("m") == Amounts(requests=1, input=100, output=7, unpriced_nanos=dear)
    desk.tell(m=(Usage(90, 5, 6, 8, 2), 0.25))
    desk.recorder.close()
    assert desk.kept("m") == Amounts(1, 90, 5, 6, 8, 2, nanos=250_000_000)
    assert desk.tokens() == 90 + 5 + 6 + 8


def test_tokens_while_the_books_fail(desk):
    """Tokens count against the limit of a minute although the turn could not be booked."""
    desk.books.add = fail_once(desk.books.add)
    with pytest.raises(Unavailable):
        desk.tell(m=(Usage(input=100), None))
    assert desk.tokens() == 100


def test_limits_of_the_provider(desk):
    """What the provider says about its limits is kept at once."""
    report = LimitsReported(ProviderLimits("allowed"), "a login")
    desk.recorder.add(0, report)
    assert desk.login_limits.reports == [report]


def test_without_a_price(desk):
    """A turn that ended without a price counts as dear as it can have been, once."""
    desk.tell(0, m=(Usage(input=100, output=7), None))
    desk.tell(1, m=(Usage(output=1), 0.25))
    desk.recorder.close()
    desk.recorder.close()
    dear = 100 * DEAREST + 7 * 5 * DEAREST
    assert desk.kept("m") == Amounts(1, 100, 0, 0, 8, nanos=250_000_000, unpriced_nanos=dear)


def test_other_events_cost_nothing(desk):
    """Only what an engine says was used is booked."""
    for event in (Started("m"), TextDelta("a"), Ended(Ending.DONE, Usage(input=3), 1.0)):
        desk.recorder.add(0, event)
    assert desk.books.kept == {}


def test_several_choices_are_one_request(desk):
    """The turns of one request add up, and count as one request."""
    for index in range(3):
        desk.tell(index, m=(Usage(output=2), 0.5))
    assert desk.kept("m") == Amounts(requests=1, output=6, nanos=1_500_000_000)


def test_another_model_after_all(desk):
    """What was booked on one model and turns out to be another's moves there."""
    desk.tell(m=(Usage(input=3), None))
    desk.tell(n=(Usage(input=3), 0.1), o=(Usage(output=1), 0.2))
    assert desk.kept("m") == Amounts()
    assert desk.kept("n") == Amounts(requests=1, input=3, nanos=100_000_000)
    assert desk.kept("o") == Amounts(output=1, nanos=200_000_000)


def test_the_day_is_the_one_it_began_on(desk):
    """A turn over midnight stays on one day, so that no day is told less than nothing."""
    desk.tell(m=(Usage(input=3), None))
    desk.tell(m=(Usage(input=3), 0.1))
    assert list(desk.books.kept) == [("2026-11-30", "m")]


@pytest.fixture
def clock():
    return Clock(datetime(2026, 11, 30, 23, 59, tzinfo=UTC))


@pytest.mark.parametrize("budget", ["usd_per_day", "usd_per_month"])
def test_the_budget_after_midnight(desk, clock, tmp_path, budget):
    """A turn over midnight may spend no more than the budget of the day on which it began."""
    ledger = Ledger(SqliteUsageStore(str(tmp_path / "usage.db")), required=False, now=clock)
    budgets: dict[str, Any] = {budget: 1.0}
    poor = Caller(Principal("alice", **budgets))
    recorder = UsageRecorder(poor, ledger, desk.rates, desk.observers)
    clock.now += timedelta(minutes=2)
    recorder.add(0, Used({"m": Spent(Usage(input=3), 0.5)}, 1))
    assert recorder.may_go_on(0)
    recorder.add(0, Used({"m": Spent(Usage(input=6), 1.0)}, 2))
    assert not recorder.may_go_on(0)
    ledger.close()


amounts = st.integers(0, 10_000)
usages = st.builds(Usage, amounts, amounts, amounts, amounts, amounts)
costs = st.one_of(st.none(), st.floats(0, 100))
tellings = st.lists(
    st.tuples(st.integers(0, 2), st.dictionaries(st.sampled_from("mno"), st.tuples(usages, costs)))
)


@given(tellings)
def test_the_last_word_counts(told):
    """Whatever was told before, the books hold what was told last of each turn."""
    desk = Desk()
    for index, spent in told:
        desk.tell(index, **spent)
    desk.recorder.close()
    last = dict(told)
    for model in "mno":
        spent = [turn[model] for turn in last.values() if model in turn]
        kept = desk.books.kept.get(("2026-11-30", model), Amounts())
        assert kept.input == sum(usage.input for usage, _ in spent)
        assert kept.output == sum(usage.output for usage, _ in spent)
        assert kept.nanos == sum(round((cost or 0) * 10**9) for _, cost in spent)
        assert (kept.unpriced_nanos > 0) == any(
            cost is None and usage != Usage(reasoning=usage.reasoning) for usage, cost in spent
        )


def test_tools(desk):
    """The uses of tools are counted together when their turn ends, and what is left at the end."""
    add = desk.recorder.add
    add(0, ToolUsed("Read", "done", 0.25))
    add(0, ToolUsed("Read", "denied", 0.0))
    add(0, ToolUsed("", "failed", 1.0))
    assert desk.tools.added == []
    add(0, Ended(Ending.DONE, Usage(), 0.0))
    counts = {"Read": ToolCounts(2, 0, 1, 250), "other": ToolCounts(1, 1, 0, 1000)}
    assert desk.tools.added == [("2026-11-30", "alice", counts)]
    add(1, ToolUsed("Bash", "failed", 2.0))
    desk.recorder.close()
    desk.recorder.close()
    assert desk.tools.added[1:] == [("2026-11-30", "alice", {"Bash": ToolCounts(1, 1, 0, 2000)})]
