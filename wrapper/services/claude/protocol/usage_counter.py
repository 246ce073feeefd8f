"""Count a turn's tokens and dollars: from the API's stream, and from Claude Code's result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wrapper.services.events import Used
from wrapper.services.spent import Spent, Usage

Raw = dict[str, Any]

COUNTED = {
    *("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"),
    *("outputTokens", "thinkingTokens", "costUSD"),
}
KINDS: dict[str, type] = {"costUSD": float}  # all others are integers
# More tokens or dollars than any turn can use.
MOST = 10**12


class UsageCounter:
    """Counts the messages of one turn's main thread. `model` is the first message's.

    *before* is the raw result of the process's previous turn: Claude Code's numbers add up over
    the life of a process.
    """

    def __init__(self, before: Raw | None = None) -> None:
        self._before = before or {}
        self.model: str | None = None
        self._usage = Usage()
        self._requests = 0
        self._finished = Usage()  # of the messages before the current one
        self._subagents = Usage()
        self._subagent_requests = 0

    def start(self, message: Raw) -> None:
        """Add the numbers that a message begins with."""
        counts, usage = message.get("usage") or {}, self._usage
        self._finished = usage
        self._requests += 1
        self._usage = replace(
            usage,
            input=usage.input + _count(counts, "input_tokens"),
            cache_read=usage.cache_read + _count(counts, "cache_read_input_tokens"),
            cache_creation=usage.cache_creation + _count(counts, "cache_creation_input_tokens"),
        )
        self.model = self.model or str(message["model"])

    def stop(self, counts: Raw | None) -> None:
        """Add the numbers that a message ends with; several events may update them."""
        counts, usage = counts or {}, self._finished
        details = counts.get("output_tokens_details") or {}
        self._usage = replace(
            self._usage,
            output=usage.output + _count(counts, "output_tokens"),
            reasoning=usage.reasoning + _count(details, "thinking_tokens"),
        )

    def count_subagents(self, usage: Usage, requests: int) -> bool:
        """Set what subagents have used beside the main thread. Return whether it is new."""
        before = self._subagents, self._subagent_requests
        self._subagents, self._subagent_requests = usage, requests
        return before != (usage, requests)

    def used(self, result: Raw | None = None) -> Used:
        """Return what the turn has used according to Claude Code's raw *result*.

        Without one, or if it has no numbers, return the stream's numbers, which have no costs.
        """
        requests = self._requests + self._subagent_requests
        totals = (result or {}).get("modelUsage") or {}
        before = self._before.get("modelUsage") or {}
        growth = {model: _growth(now, before.get(model) or {}) for model, now in totals.items()}
        spent = {model: _spent(counts) for model, counts in growth.items() if any(counts.values())}
        if not any(item.usage.input or item.usage.output for item in spent.values()):
            stream = {self.model: Spent(self._usage + self._subagents)} if self.model else {}
            return Used(stream, requests)
        if len(spent) == 1 and self.model:  # a cloud may give the model another name
            spent = {self.model: next(iter(spent.values()))}
        # The request counts for the first model, and a tool's model may be listed before it.
        return Used(dict(sorted(spent.items(), key=lambda item: item[0] != self.model)), requests)

    def cost(self, result: Raw | None) -> float | None:
        """Return the turn's cost in dollars, or None if Claude Code does not report it."""
        total = _checked((result or {}).get("total_cost_usd"), float)
        return None if total is None else _less(total, self._before.get("total_cost_usd") or 0)


def _growth(now: Raw, before: Raw) -> Raw:
    numbers = {name: _checked(now.get(name), KINDS.get(name, int)) for name in COUNTED}
    return {
        name: _less(value, before.get(name) or 0)
        for name, value in numbers.items()
        if value is not None
    }


def _count(counts: Raw, name: str) -> int:
    """Return the tokens under *name*, 0 if it is missing."""
    return int(_checked(counts.get(name), int) or 0)


def _checked(number: Any, kind: type) -> Any:
    """Return *number*, which may be None. Raises ValueError if it is no possible count."""
    allowed = (int, kind)
    if number is None or (type(number) in allowed and 0 <= number <= MOST):
        return number
    raise ValueError(f"{number!r:.40} is not a count")


def _less(value: float, before: float) -> float:
    """Return the difference, at least 0, without the rounding errors of floats."""
    return max(0, round(value - before, 12)) if before else value


def _spent(counts: Raw) -> Spent:
    usage = Usage(
        input=counts.get("inputTokens") or 0,
        cache_read=counts.get("cacheReadInputTokens") or 0,
        cache_creation=counts.get("cacheCreationInputTokens") or 0,
        output=counts.get("outputTokens") or 0,
        reasoning=counts.get("thinkingTokens") or 0,
    )
    return Spent(usage, counts.get("costUSD"))
