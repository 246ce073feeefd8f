"""Medians, quartiles and ratios of samples. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.answer import Timing

Part = Literal["first", "total"]
Round = dict[str, Timing]


@dataclass(frozen=True)
class Spread:
    """The median of some samples, and their lower and upper quartile."""

    median: float
    low: float
    high: float

    @property
    def relative(self) -> float:
        """Return the distance between the quartiles as a part of the median."""
        return (self.high - self.low) / self.median


def spread(samples: Sequence[float]) -> Spread:
    """Return the spread of one or more samples."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high)


def seconds(rounds: Sequence[Round], name: str, part: Part) -> Spread:
    """Return the spread of a contender's own times."""
    return spread([getattr(each[name], part) for each in rounds])


def ratio(rounds: Sequence[Round], over: str, under: str, part: Part) -> Spread:
    """Return the spread of the ratio of two contenders' times, taken round by round.

    If the machine is slow for a while, both sides of a ratio are slow.
    """
    return spread([getattr(each[over], part) / getattr(each[under], part) for each in rounds])
