"""The forecast: what a day and a month will cost at the pace so far, and when budgets end."""

from datetime import UTC, date, datetime

import pytest

from wrapper.services.usage.budget import day_of, month_of
from wrapper.services.usage.forecast import exhausted_at, forecast
from wrapper.services.usage.store import Amounts, Row

DOLLAR = 10**9
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)


def row(day, dollars, unpriced=0.0):
    amounts = Amounts(1, nanos=round(dollars * DOLLAR), unpriced_nanos=round(unpriced * DOLLAR))
    return Row(f"2026-11-{day:02}", "alice", "m", amounts)


def expected(rows, now):
    return tuple(period["expected_usd"] for period in forecast(rows, now).values())


def test_pace():
    """The rest costs in proportion to the time so far, which begins with the first day of use."""
    rows = [row(1, 6), row(10, 3, unpriced=0.5)]
    day, month = forecast(rows, NOON).values()
    assert day == {"spent_usd": 3.5, "expected_usd": 7, "ends_at": "2026-11-11T00:00:00Z"}
    assert (month["spent_usd"], month["ends_at"]) == (9.5, "2026-12-01T00:00:00Z")
    assert month["expected_usd"] == pytest.approx(9.5 * 30 / 9.5)
    begun_late = [row(9, 3)]
    assert expected(begun_late, NOON)[1] == pytest.approx(3 + 3 * 20.5 / 1.5)


@pytest.mark.parametrize(
    ("rows", "now", "known"),
    [
        ([], NOON, (False, False)),
        ([row(9, 1)], NOON, (False, True)),
        ([row(10, 1)], NOON, (True, False)),
        ([row(10, 1)], NOON.replace(hour=0, minute=59), (False, False)),
        ([row(10, 1)], NOON.replace(hour=1), (True, False)),
        ([row(10, 0)], NOON, (True, False)),
    ],
)
def test_too_early(rows, now, known):
    """Nothing is said in the first hour of a day, the first day of a month, or without usage."""
    assert tuple(value is not None for value in expected(rows, now)) == known


@pytest.mark.parametrize(
    ("limit", "when"),
    [
        (3, None),
        (4, "2026-11-10T16:00:00Z"),
        (5.999, "2026-11-10T23:59:45Z"),
        (6, None),
        (10**12, None),
    ],
)
def test_when_a_budget_ends(limit, when):
    """A budget ends when the pace reaches it, unless it has ended, or resets before."""
    assert exhausted_at([row(10, 3)], day_of(NOON.date()), limit, NOON) == when


def test_a_budget_nobody_uses():
    """Without usage, or with usage that costs nothing, no budget ends."""
    for rows in ([], [row(1, 0)]):
        assert exhausted_at(rows, month_of(date(2026, 11, 10)), 1, NOON) is None
