"""Percentiles of latencies: from the values themselves, by whatever group."""

import pytest

from wrapper.services.requests.latency import Percentiles, percentiles, summarise
from wrapper.services.requests.request import Latency


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7], (7, 7, 7)),
        ([3, 1], (1, 3, 3)),
        (range(1, 101), (50, 95, 99)),
        (range(1, 1001), (500, 950, 990)),
        ([1] * 95 + [9] * 5, (1, 1, 9)),
    ],
)
def test_percentiles(values, expected):
    """Each percentile is the value that so many of a hundred do not exceed."""
    assert percentiles(list(values)) == Percentiles(*expected)


def test_groups():
    """A sum of groups has percentiles of its own, which are no averages of theirs."""
    fast = [Latency("2026-11-01", "m", 1, 2)] * 99
    slow = [Latency("2026-11-02", "m", 1000, 2000)]
    by_day = summarise([*fast, *slow], lambda latency: latency.day)
    assert by_day["2026-11-02"].first_token == Percentiles(1000, 1000, 1000)
    assert by_day["2026-11-01"].answers == 99
    (whole,) = summarise([*fast, *slow], lambda latency: latency.model).values()
    assert (whole.total, whole.answers) == (Percentiles(2, 2, 2), 100)
