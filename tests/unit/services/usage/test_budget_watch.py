"""Budgets that warn: thresholds are known at once, and announced once."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.lost_answers import lose_once
from tests.unit.services.usage.test_ledger import Memory
from wrapper.errors import QuotaExceeded
from wrapper.routes.headers import note_headers
from wrapper.services.principal import EndUser, Principal
from wrapper.services.store_health import StoreFailed
from wrapper.services.usage import budget_watch
from wrapper.services.usage.budget_watch import ThresholdReached
from wrapper.services.usage.ledger import Ledger
from wrapper.services.usage.store import Amounts, Row

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DOLLAR = 10**9
ALICE = Principal("alice", usd_per_day=10, usd_per_month=100)
SHOP = Principal("shop", user_usd_per_day=10)


class World:
    """Two workers of one store, and what both have announced."""

    def __init__(self):
        self.now, self.store = NOW, Memory()
        self.reached: list[ThresholdReached] = []
        self.workers = [
            Ledger(
                self.store,
                required=False,
                now=lambda: self.now,
                on_threshold=self.reached.append,
            )
            for _ in range(2)
        ]

    def spend(self, dollars, holder=ALICE, worker=0):
        """Run a turn: check, and then book what it costs."""
        ledger = self.workers[worker]
        ledger.check(holder)
        amounts = Amounts(nanos=round(dollars * DOLLAR))
        ledger.add(Row(ledger.today().isoformat(), holder.name, "m", amounts, holder.user))

    def warnings(self, holder=ALICE, worker=0):
        return note_headers(self.workers[worker].notes(holder)).get("x-budget-warnings")

    def announced(self):
        """Return what is announced once every worker has looked."""
        for ledger in self.workers:
            ledger.tick()
        found, self.reached[:] = [(each.budget.name, each.percent) for each in self.reached], []
        return found


@pytest.fixture
def world():
    return World()


def test_warnings(world):
    """From 80 percent on the highest threshold is known when a turn is booked, without a read."""
    world.spend(7.9)
    assert world.warnings() is None
    world.spend(0.1)
    reads = world.store.reads
    assert world.warnings() == "usd_per_day=80"
    assert world.store.reads == reads
    world.spend(1)
    assert world.warnings() == "usd_per_day=90"
    world.spend(3)
    assert world.warnings() == "usd_per_day=100"
    with pytest.raises(QuotaExceeded):
        world.spend(1)


def test_both_budgets(world):
    """Each budget has its own threshold."""
    limits = Principal("alice", usd_per_day=10, usd_per_month=10)
    world.spend(8.5, limits)
    assert world.warnings(limits) == "usd_per_day=80, usd_per_month=80"


def test_what_another_worker_spends(world):
    """A worker learns with its next check what another one has booked."""
    world.spend(1, worker=1)
    world.spend(8)
    assert world.warnings(worker=1) is None
    world.workers[1].check(ALICE)
    assert world.warnings(worker=1) == "usd_per_day=90"


def test_a_new_day(world):
    """Warnings end with their day."""
    world.spend(8)
    world.now += timedelta(days=1)
    assert world.warnings() is None


@pytest.mark.parametrize("asks_again", [False, True])
def test_just_before_midnight(world, asks_again):
    """A threshold reached in the last second of a day is announced on the next one, once."""
    world.now = NOW.replace(hour=23, minute=59, second=59)
    world.spend(85)
    world.now += timedelta(seconds=2)
    if asks_again:
        world.spend(1)
    thresholds = [("usd_per_day", each) for each in (80, 90, 100)]
    assert world.announced() == [*thresholds, ("usd_per_month", 80)]
    world.spend(1)
    assert world.announced() == []


def test_announced_once(world):
    """Each threshold is announced once in a period, whichever worker finds it, also if skipped."""
    world.spend(7)
    assert world.announced() == []
    world.spend(1)
    assert world.announced() == [("usd_per_day", 80)]
    world.spend(0.5, worker=1)
    assert world.announced() == []
    world.spend(3, worker=1)
    assert world.announced() == [("usd_per_day", 90), ("usd_per_day", 100)]
    world.now += timedelta(days=1)
    world.spend(8)
    assert world.announced() == [("usd_per_day", 80)]


def test_after_a_restart(world):
    """What was announced before a restart is not announced again."""
    world.spend(8)
    assert world.announced() == [("usd_per_day", 80)]
    world.workers = [
        Ledger(world.store, required=False, now=lambda: NOW, on_threshold=world.reached.append)
    ]
    world.spend(0.1)
    assert world.announced() == []


def test_workers_together(world):
    """What workers have spent at once is announced, though neither has spent that much."""
    for ledger in world.workers:
        ledger.check(ALICE)
    for ledger in world.workers:
        ledger.add(Row("2026-11-30", "alice", "m", Amounts(nanos=15 * DOLLAR // 2 - DOLLAR // 4)))
    assert world.announced()[0] == ("usd_per_day", 80)


def test_what_is_announced(world, caplog):
    """The event and one line of the log say whose budget it is, and when it begins anew."""
    caplog.set_level(logging.INFO)
    ann = EndUser.named(SHOP, "ann@example.com")
    world.spend(8.5, ann)
    for ledger in world.workers:
        ledger.tick()
    (reached,) = world.reached
    assert reached.facts() == {
        "key": "shop",
        "user": ann.user,
        "budget": "user_usd_per_day",
        "percent": 80,
        "limit_usd": 10,
        "spent_usd": 8.5,
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert reached.occurrence == f"budget:shop/{ann.user}:day:2026-11-30:80"
    (record,) = [each for each in caplog.records if each.message == "budget threshold reached"]
    assert record.facts == reached.facts()
    assert "ann" not in str(record.facts)


def test_occurrences(world):
    """The occurrence of a key's threshold names the key, the period, its beginning and the part."""
    world.spend(85, Principal("alice", usd_per_month=100))
    world.workers[0].tick()
    assert [each.occurrence for each in world.reached] == ["budget:alice:month:2026-11-01:80"]


def test_a_store_that_fails(world):
    """A threshold that was reached while the store failed is announced once it works."""
    world.spend(8)
    world.store.reads_fail = True
    assert world.announced() == []
    world.store.reads_fail = False
    assert world.announced() == [("usd_per_day", 80)]


def test_a_lost_answer(world):
    """A threshold that the store has noted, but not told so, is announced."""
    world.spend(8)
    world.store.announce = lose_once(world.store.announce, StoreFailed("away"))
    assert world.announced() + world.announced() == [("usd_per_day", 80)]


def test_when_a_gateway_ends(world):
    """A gateway that ends announces first what its last turn has reached."""
    world.spend(8)
    world.workers[0].close()
    assert [each.percent for each in world.reached] == [80]


def test_memory(world, monkeypatch):
    """Of any number of users only the last ones are remembered, and nothing else is lost."""
    monkeypatch.setattr(budget_watch, "MOST_HOLDERS", 3)
    users = [EndUser.named(SHOP, str(number)) for number in range(9)]
    for user in users:
        world.spend(8, user)
    known = [world.warnings(user) is not None for user in users]
    assert known == [False] * 6 + [True] * 3
    world.workers[0].check(users[0])
    assert world.warnings(users[0]) == "user_usd_per_day=80"
    assert len(world.announced()) == 3
