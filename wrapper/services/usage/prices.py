"""Prices: the most that tokens can have cost, until Claude Code reports the cost."""

from __future__ import annotations

import re
from functools import lru_cache

from wrapper.services.usage.store import Amounts

# The list prices of Claude Code 2.1.330 for an input token, in billionths of dollars. The first
# pattern that matches a model's id counts. For Haiku 5 it is the price in a long prompt.
INPUT: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern), nanos)
    for pattern, nanos in (
        (r"haiku-5|claude-3-haiku", 500),
        (r"haiku", 1_000),
        (r"sonnet-5", 2_000),
        (r"sonnet", 3_000),
        (r"opus-(4-[5-9]|5)", 5_000),
        (r"opus", 15_000),
        (r"(fable|mythos)-5", 10_000),
    )
)
# The highest price, and the cost of other tokens relative to input. Writing to the cache costs more
# for an hour than for five minutes; an hour is assumed.
DEAREST = 30_000
FACTORS = {"input": 1.0, "output": 5.0, "cache_read": 0.1, "cache_creation": 2.0}


def most(model: str, amounts: Amounts) -> int:
    """Return the most that *model*'s tokens can have cost, in billionths of dollars."""
    weighted = (getattr(amounts, name) * factor for name, factor in FACTORS.items())
    return round(_input_price(model) * float(sum(weighted)))


@lru_cache(maxsize=256)
def _input_price(model: str) -> int:
    return next((nanos for pattern, nanos in INPUT if pattern.search(model)), DEAREST)
