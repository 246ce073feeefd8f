"""What turns use of models: tokens and their cost, and the sums of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add


@dataclass(frozen=True)
class Usage:
    """Tokens, as the engine counted them. `output` includes `reasoning`."""

    input: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def prompt(self) -> int:
        """Return the tokens of the prompt, cached or not."""
        return self.input + self.cache_read + self.cache_creation

    @property
    def total(self) -> int:
        """Return the tokens of prompt and answer."""
        return self.prompt + self.output

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_creation + other.cache_creation,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Return the sum of all *parts*."""
    first, *others = [*parts] or [Usage()]
    return reduce(add, others, first)


def sum_costs(costs: Iterable[float | None]) -> float | None:
    """Return the sum of *costs*; None where one of them is not known."""
    costs = list(costs)
    return None if None in costs else sum(cost or 0.0 for cost in costs)


@dataclass(frozen=True)
class Spent:
    """What one model used. `cost_usd` is None where the engine does not know it, or not yet."""

    usage: Usage
    cost_usd: float | None = None


def add_spent(*each: Mapping[str, Spent]) -> dict[str, Spent]:
    """Return the sums by model; a sum's cost is None where the cost of a part is."""
    sums: dict[str, Spent] = {}
    for model, spent in (item for spent_by_model in each for item in spent_by_model.items()):
        before = sums.get(model, Spent(Usage(), 0.0))
        sums[model] = Spent(
            sum_usage((before.usage, spent.usage)), sum_costs((before.cost_usd, spent.cost_usd))
        )
    return sums
