"""The tally: what a turn has used, by the API's stream while it runs and by the CLI at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wrapper.services.turn import Spent, Usage, Used

Raw = dict[str, Any]

COUNTED = {
    *("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"),
    *("outputTokens", "thinkingTokens", "costUSD"),
}


class Tally:
    """Counts the messages of one turn's main thread.

    *before* is the raw result of the process's turn before this one, from which the CLI's numbers
    go on.
    """

    def __init__(self, before: Raw | None = None) -> None:
        self._before = before or {}
        self._model: str | None = None
        self._usage = Usage()
        self._ended = Usage()  # of the messages before the one under way

    def start(self, message: Raw) -> None:
        """Take note of the numbers that a message begins with."""
        said, usage = message.get("usage") or {}, self._usage
        self._ended = usage
        self._model = self._model or str(message["model"])
        self._usage = replace(
            usage,
            input=usage.input + (said.get("input_tokens") or 0),
            cache_read=usage.cache_read + (said.get("cache_read_input_tokens") or 0),
            cache_creation=usage.cache_creation + (said.get("cache_creation_input_tokens") or 0),
        )

    def stop(self, said: Raw | None) -> None:
        """Take note of the numbers that a message ends with; they may come in several steps."""
        said, usage = said or {}, self._ended
        details = said.get("output_tokens_details") or {}
        self._usage = replace(
            self._usage,
            output=usage.output + (said.get("output_tokens") or 0),
            reasoning=usage.reasoning + (details.get("thinking_tokens") or 0),
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
            return Used({self._model: Spent(self._usage)} if self._model else {})
        if len(spent) == 1 and self._model:  # which a cloud may call by another name
            spent = {self._model: next(iter(spent.values()))}
        return Used(spent)

    def cost(self, result: Raw | None) -> float | None:
        """Return the dollars that the turn has cost, None where the CLI does not say."""
        told = (result or {}).get("total_cost_usd")
        return None if told is None else _less(told, self._before.get("total_cost_usd") or 0)


def _growth(said: Raw, before: Raw) -> Raw:
    numbers = {name: value for name, value in said.items() if isinstance(value, int | float)}
    return {
        name: _less(value, before.get(name) or 0)
        for name, value in numbers.items()
        if name in COUNTED
    }


def _less(value: float, before: float) -> float:
    """Return the difference, without the dust that floats leave."""
    return round(value - before, 12) if before else value


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
