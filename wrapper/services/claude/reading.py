"""The reading: what a process says in one turn, understood as events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wrapper.errors import BadGateway
from wrapper.services.stops import StopCutter
from wrapper.services.turn import (
    Ended,
    Ending,
    Event,
    ReasoningDelta,
    Spent,
    Started,
    TextDelta,
    ToolUse,
    Usage,
    Used,
    sum_usage,
)

Raw = dict[str, Any]

ENDINGS = {
    "end_turn": Ending.DONE,
    "stop_sequence": Ending.DONE,
    "pause_turn": Ending.DONE,
    "max_tokens": Ending.LENGTH,
    "model_context_window_exceeded": Ending.LENGTH,
    "refusal": Ending.REFUSED,
    "max_turns": Ending.LENGTH,
}
# The CLI would ask the model to go on after these.
CUT_SHORT = {"max_tokens"}


class Reading:
    """Follows the raw Messages API events of one turn's main thread.

    The answer may be whole although the process is not done: `cut`, at a stop text while the
    model writes on, or `limited`, where the CLI would ask the model to go on, or has (`went_on`).
    """

    def __init__(self, stops: tuple[str, ...]):
        self._cutter = StopCutter(stops)
        self._model: str | None = None
        self._spoke = False
        self._broke_off = False
        self._separate = False
        self._stop_reason: str | None = None
        self._usage = Usage()
        self._tool: str | None = None
        self._arguments = ""
        self._abandoned = False
        self.limited = False
        self.went_on = False

    @property
    def started(self) -> bool:
        return self._model is not None

    @property
    def cut(self) -> bool:
        return self._cutter.hit

    def read(self, event: Raw) -> Iterator[Event]:
        """Yield what one Messages API event means. Raises BadGateway where an answer restarts."""
        kind = event.get("type")
        if self.cut or self.limited:
            self.went_on = self.went_on or kind == "message_start"
            if kind == "message_delta" and not self.went_on:
                self._usage = _output(self._usage, event.get("usage") or {})
            return
        match kind:
            case "message_start":
                yield from self._start(event["message"])
            case "content_block_start":
                self._open(event["content_block"])
            case "content_block_stop":
                yield from self._use()
            case "content_block_delta":
                yield from self._delta(event["delta"])
            case "message_delta":
                yield from self._stop(event)

    def refuse(self) -> None:
        """Take note that the model refused: the CLI says so and keeps the API's reason back."""
        self._stop_reason = "refusal"

    def exhaust(self) -> None:
        """Take note that the turn was stopped after its last round of tool use."""
        self._stop_reason = "max_turns"

    def abandon(self) -> None:
        """Take note that nobody waits for the answer any more."""
        self._abandoned = True

    def used(self, result: Raw | None) -> Used:
        """Return what the turn has used, as the CLI's raw *result* has it.

        Without one, or where it says nothing, the numbers are those of the stream, without costs.
        """
        told = (result or {}).get("modelUsage") or {}
        spent = {model: _spent(said) for model, said in told.items()}
        if not any(one.usage.input or one.usage.output for one in spent.values()):
            return Used({self._model: Spent(self._usage)} if self._model else {})
        if len(spent) == 1 and self._model:  # which a cloud may call by another name
            spent = {self._model: next(iter(spent.values()))}
        return Used(spent)

    def end(self, result: Raw | None) -> Ended | None:
        """Return how the turn ended, or None where neither the model nor its reader ended it."""
        ending = Ending.DONE if self.cut else ENDINGS.get(self._stop_reason or "")
        if ending is None and self._abandoned:
            ending = Ending.ABANDONED
        if ending is None:
            return None
        usage = sum_usage(one.usage for one in self.used(result).spent.values())
        return Ended(ending, usage, (result or {}).get("total_cost_usd"))

    def _start(self, message: Raw) -> Iterator[Event]:
        if self._broke_off:
            raise BadGateway("The answer broke off and began again; it was ended.")
        self._usage = _add(self._usage, message.get("usage") or {})
        self._broke_off, self._separate = False, self._spoke
        self._stop_reason = None
        if self._model is None:
            self._model = str(message["model"])
            yield Started(self._model)
        yield self.used(None)

    def _open(self, block: Raw) -> None:
        self._tool = str(block["name"]) if block.get("type") == "tool_use" else None
        self._arguments = ""

    def _use(self) -> Iterator[Event]:
        if self._tool:
            yield ToolUse(self._tool, self._arguments)
        self._tool = None

    def _delta(self, delta: Raw) -> Iterator[Event]:
        if delta.get("type") == "thinking_delta" and delta.get("thinking"):
            yield ReasoningDelta(delta["thinking"])
        elif delta.get("type") == "input_json_delta":
            self._arguments += delta.get("partial_json") or ""
        elif delta.get("type") == "text_delta":
            yield from self._text(delta["text"])

    def _text(self, text: str) -> Iterator[Event]:
        if self._separate:
            # A blank line parts what was said before a tool was used from what is said after.
            text = "\n\n" + text
            self._separate = False
        self._spoke = self._broke_off = True
        passed = self._cutter.feed(text)
        if passed:
            yield TextDelta(passed)

    def _stop(self, event: Raw) -> Iterator[Event]:
        self._broke_off = False
        self._usage = _output(self._usage, event.get("usage") or {})
        self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
        if self._stop_reason in ENDINGS and (rest := self._cutter.rest()):
            yield TextDelta(rest)
        self.limited = self._stop_reason in CUT_SHORT
        yield self.used(None)


def _spent(said: Raw) -> Spent:
    """Return what one model used in a process's life, which is one turn long."""
    usage = Usage(
        input=said.get("inputTokens") or 0,
        cache_read=said.get("cacheReadInputTokens") or 0,
        cache_creation=said.get("cacheCreationInputTokens") or 0,
        output=said.get("outputTokens") or 0,
        reasoning=said.get("thinkingTokens") or 0,
    )
    return Spent(usage, said.get("costUSD"))


def _add(usage: Usage, said: Raw) -> Usage:
    return Usage(
        input=usage.input + (said.get("input_tokens") or 0),
        cache_read=usage.cache_read + (said.get("cache_read_input_tokens") or 0),
        cache_creation=usage.cache_creation + (said.get("cache_creation_input_tokens") or 0),
        output=usage.output,
    )


def _output(usage: Usage, said: Raw) -> Usage:
    output = usage.output + (said.get("output_tokens") or 0)
    return Usage(usage.input, usage.cache_read, usage.cache_creation, output)
