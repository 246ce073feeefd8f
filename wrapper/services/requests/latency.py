"""Percentiles of latencies, by day and model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wrapper.services.requests.request import Latency

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Percentiles:
    """The milliseconds that so many of a hundred values do not exceed."""

    p50: int
    p95: int
    p99: int


@dataclass(frozen=True)
class LatencySummary:
    """The percentiles of a number of answers."""

    answers: int
    first_token: Percentiles
    total: Percentiles


def summarise(
    latencies: Iterable[Latency], group: Callable[[Latency], K]
) -> dict[K, LatencySummary]:
    """Return a summary of the latencies of each *group*, made of the values themselves."""
    groups: dict[K, list[Latency]] = defaultdict(list)
    for latency in latencies:
        groups[group(latency)].append(latency)
    return {
        name: LatencySummary(
            len(members),
            percentiles([latency.first_token for latency in members]),
            percentiles([latency.total for latency in members]),
        )
        for name, members in groups.items()
    }


def percentiles(values: Sequence[int]) -> Percentiles:
    """Return percentiles of at least one value: each is one of *values* (the nearest rank)."""
    ordered = sorted(values)
    ranks = (math.ceil(len(ordered) * part / 100) for part in (50, 95, 99))
    return Percentiles(*(ordered[rank - 1] for rank in ranks))
