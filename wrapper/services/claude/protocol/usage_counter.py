"""The tally: what a turn has used, by the API's stream while it runs and by the CLI at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wrapper.services.events import Spent, Usage, Used

Raw = dict[str, Any]

COUNTED = {
    *("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"),
    *("outputTokens", "thinkingTokens", "costUSD"),
}
KINDS: dict[str, type] = {"costUSD": float}  # all others are whole
# More than any turn can have used, of tokens or dollars.
MOST = 10**12


class UsageCounter:
    """Counts the messages of one turn's main thread.

    *before* is the raw result of the process's turn before this one, from which the CLI's numbers
    go on.
    """

    def __init__(self, before: Raw | None = None) -> None:
        self._before = before or {}
        self._model: str | None = None
        self._usage = Usage()
        self._requests = 0
        self._ended = Usage()  # of the messages before the one under way

    def start(self, message: Raw) -> None:
        """Take note of the numbers that a message begins with."""
        said, usage = message.get("usage") or {}, self._usage
        self._ended = usage
        self._requests += 1
        self._model = self._model or str(message["model"])
        self._usage = replace(
            usage,
            input=usage.input + _count(said, "input_tokens"),
            cache_read=usage.cache_read + _count(said, "cache_read_input_tokens"),
            cache_creation=usage.cache_creation + _count(said, "cache_creation_input_tokens"),
        )

    def stop(self, said: Raw | None) -> None:
        """Take note of the numbers that a message ends with; they may come in several steps."""
        said, usage = said or {}, self._ended
        details = said.get("output_tokens_details") or {}
        self._usage = replace(
            self._usage,
            output=usage.output + _count(said, "output_tokens"),
            reasoning=usage.reasoning + _count(details, "thinking_tokens"),
        )

    def used(self, result: Raw | None = None) -> Used:
        """Return what the turn has used, as the CLI's raw *result* has it.

        Without one, or where it says nothing, the numbers are those of the stream, without costs.
        """
        told = (result or {}).get("modelUsage") or {}
        before = self._before.get("modelUsage") or {}
        grown = {model: _growth(said, before.get(model) or {}) for model, said in told.items()}
        spent = {model: _spent(said) for model, said in grown.items() if any(said.values())}
        if not any(one.usage.input or one.usage.output for one in spent.values()):
            stream = {self._model: Spent(self._usage)} if self._model else {}
            return Used(stream, self._requests)
        if len(spent) == 1 and self._model:  # which a cloud may call by another name
            spent = {self._model: next(iter(spent.values()))}
        return Used(spent, self._requests)

    def cost(self, result: Raw | None) -> float | None:
        """Return the dollars that the turn has cost, None where the CLI does not say."""
        told = _checked((result or {}).get("total_cost_usd"), float)
        return None if told is None else _less(told, self._before.get("total_cost_usd") or 0)


def _growth(said: Raw, before: Raw) -> Raw:
    numbers = {name: _checked(said.get(name), KINDS.get(name, int)) for name in COUNTED}
    return {
        name: _less(value, before.get(name) or 0)
        for name, value in numbers.items()
        if value is not None
    }


def _count(said: Raw, name: str) -> int:
    """Return how many tokens *said* tells of by this name, which may be none."""
    return int(_checked(said.get(name), int) or 0)


def _checked(number: Any, kind: type) -> Any:
    """Return *number*, or None for that. Raises ValueError for what nothing can be counted by."""
    allowed = (int, kind)
    if number is None or (type(number) in allowed and 0 <= number <= MOST):
        return number
    raise ValueError(f"{number!r:.40} is no count")


def _less(value: float, before: float) -> float:
    """Return the difference, without the dust that floats leave; nothing ever becomes less."""
    return max(0, round(value - before, 12)) if before else value


def _spent(said: Raw) -> Spent:
    """Return what one model used."""
    usage = Usage(
        input=said.get("inputTokens") or 0,
        cache_read=said.get("cacheReadInputTokens") or 0,
        cache_creation=said.get("cacheCreationInputTokens") or 0,
        output=said.get("outputTokens") or 0,
        reasoning=said.get("thinkingTokens") or 0,
    )
    return Spent(usage, said.get("costUSD"))
