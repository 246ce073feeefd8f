"""The prices: the most that tokens can have cost, until Claude Code says what they did."""

from __future__ import annotations

import re
from functools import lru_cache

from wrapper.services.usage.store import Amounts

# Claude Code 2.1.330's list prices of a token of input, in billionths of dollars, by the model's
# family; the first that is found in a model's id holds. Of Haiku 5 it is that of a long prompt.
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
# The dearest of all, and what other tokens cost for one of input. What is cached costs more where
# it is for an hour, as is assumed here.
DEAREST = 30_000
FACTORS = {"input": 1.0, "output": 5.0, "cache_read": 0.1, "cache_creation": 2.0}


def most(model: str, amounts: Amounts) -> int:
    """Return the most that *model*'s tokens can have cost, in billionths of dollars."""
    weighed = (getattr(amounts, name) * factor for name, factor in FACTORS.items())
    return round(_input(model) * float(sum(weighed)))


@lru_cache(maxsize=256)
def _input(model: str) -> int:
    return next((nanos for pattern, nanos in INPUT if pattern.search(model)), DEAREST)
