"""The reading: what a process says in one turn, understood as events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from wrapper.errors import BadGateway
from wrapper.json_text.precision import is_text_of
from wrapper.services.claude.errors import BROKEN_OFF
from wrapper.services.claude.protocol.event_order import EventOrder
from wrapper.services.claude.protocol.stop_sequences import StopCutter
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Event,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
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
    "budget": Ending.BUDGET,
    "calls": Ending.CALLS,
}
# The tool that an agent answers with where its answer must be in a shape.
STRUCTURED = "StructuredOutput"
# The CLI would ask the model to go on after these.
CUT_SHORT = {"max_tokens"}


class StreamParser:
    """Follows the raw Messages API events of one turn's main thread.

    The answer may be whole although the process is not done: `cut`, at a stop text while the
    model writes on, or `limited`, where the CLI would ask the model to go on, or has (`went_on`).
    *functions* are the client's names by those upstream; *answer* is the tool whose input is the
    answer, in place of text; an empty name leaves the answer to be told at the end. `tally` has
    what was used.
    """

    def __init__(
        self,
        stops: tuple[str, ...],
        functions: Mapping[str, str] = MappingProxyType({}),
        answer: str | None = None,
        tally: UsageCounter | None = None,
        resumed: bool = False,
    ):
        self._functions = functions
        self._answer = answer
        self._answered = False
        self._aside = ""
        self._words = ""
        self._written = ""
        self._calls = 0
        self.tally = tally or UsageCounter()
        self._resumed = resumed
        self._cutter = StopCutter(stops)
        self._model: str | None = None
        self._spoke = False
        self._broke_off = False
        self._order = EventOrder()
        self._separate = False
        self._stop_reason: str | None = None
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
        """Yield what one Messages API event means.

        Raises BadGateway where an answer restarts, or where one comes that no model gives.
        """
        kind = str(event.get("type"))
        if self.cut or self.limited:
            self.went_on = self.went_on or kind == "message_start"
            if kind == "message_delta" and not self.went_on:
                self.tally.stop(event.get("usage"))
            return
        if _abandons(event):
            self._order.abandon()
        else:
            self._order.check(kind)
        match kind:
            case "message_start":
                yield from self._start(event["message"])
            case "content_block_start":
                yield from self._open(event["content_block"])
            case "content_block_stop":
                yield from self._close()
            case "content_block_delta":
                yield from self._delta(event["delta"])
            case "message_delta":
                yield from self._stop(event)

    @property
    def called(self) -> bool:
        """Say whether the model has ended its answer with calls that the client has to run."""
        return self._stop_reason == "calls"

    def answer(self, told: Any) -> Iterator[Event]:
        """Yield the answer as the engine has told it in the end, which ends the turn.

        It is told as the model has written it, since the engine may have read other numbers.
        """
        self._stop_reason = "end_turn"
        if is_text_of(self._written, told):
            yield TextDelta(self._written)
        else:
            yield TextDelta(json.dumps(told, ensure_ascii=False))

    def answer_in_words(self) -> Iterator[Event]:
        """Yield the words that the model ended with, where the engine has not told its answer.

        Claude Code asks it again then; what it says to that is no answer to the user.
        """
        if self._words.strip() and self._stop_reason == "end_turn":
            yield TextDelta(self._words)

    def refuse(self) -> None:
        """Take note that the model refused: the CLI says so and keeps the API's reason back."""
        self._stop_reason = "refusal"

    @property
    def broke_off(self) -> bool:
        """Say whether the answer that came last was not finished."""
        return self.started and self._stop_reason is None

    @property
    def answering(self) -> bool:
        """Say whether the model is in the middle of an answer that is being read."""
        return self.started and self._stop_reason is None and not self.cut

    def exhaust(self, what: str) -> None:
        """Take note that the model is not asked again, for lack of *what*: max_turns or budget."""
        if self._stop_reason not in ENDINGS:
            self._stop_reason = what

    def abandon(self) -> None:
        """Take note that nobody waits for the answer any more."""
        self._abandoned = True

    def end(self, result: Raw | None) -> Ended | None:
        """Return how the turn ended, or None where neither the model nor its reader ended it."""
        ending = Ending.DONE if self.cut else ENDINGS.get(self._stop_reason or "")
        if ending is None and self._abandoned:
            ending = Ending.ABANDONED
        if ending is None:
            return None
        usage = sum_usage(one.usage for one in self.tally.used(result).spent.values())
        return Ended(ending, usage, self.tally.cost(result))

    def _start(self, message: Raw) -> Iterator[Event]:
        if self._broke_off:
            raise BadGateway(f"{BROKEN_OFF} It was asked again, and the turn was ended.")
        self.tally.start(message)
        self._aside = ""
        self._broke_off, self._separate = False, self._spoke
        self._stop_reason = None
        if self._model is None:
            self._model = str(message["model"])
            yield Started(self._model, self._resumed)
        yield self.tally.used()

    def _open(self, block: Raw) -> Iterator[Event]:
        self._tool = str(block["name"]) if block.get("type") == "tool_use" else None
        self._arguments = ""
        self._answered = self._answered or self._answering()
        if self._calling():
            name = self._functions[str(self._tool)]
            yield CallStarted(self._calls, str(block["id"]), name)

    def _calling(self) -> bool:
        return self._tool in self._functions

    def _answering(self) -> bool:
        return self._tool is not None and self._tool == self._answer

    def _close(self) -> Iterator[Event]:
        if self._calling():
            if not self._arguments:  # of a function that takes none
                yield CallDelta(self._calls, "{}")
            self._calls += 1
        elif self._answering():
            if not self._arguments:  # an object that holds nothing
                yield TextDelta("{}")
        elif self._tool:
            if self._tool == STRUCTURED:
                self._written = self._arguments
            yield ToolUse(self._tool, self._arguments)
        self._tool = None

    def _input(self, piece: str) -> Iterator[Event]:
        self._arguments += piece
        if self._calling() and piece:
            yield CallDelta(self._calls, piece)
        elif self._answering() and piece:
            yield TextDelta(piece)

    def _delta(self, delta: Raw) -> Iterator[Event]:
        if delta.get("type") == "thinking_delta" and delta.get("thinking"):
            yield ReasoningDelta(_as_text(delta["thinking"]))
        elif delta.get("type") == "input_json_delta":
            yield from self._input(_as_text(delta.get("partial_json") or ""))
        elif delta.get("type") == "text_delta" and self._answer is None:
            yield from self._text(_as_text(delta["text"]))
        elif delta.get("type") == "text_delta":
            self._aside += _as_text(delta["text"])

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
        reason = event["delta"].get("stop_reason")
        self._broke_off = self._broke_off and not reason
        self.tally.stop(event.get("usage"))
        self._stop_reason = self._reason(reason) or self._stop_reason
        if self._stop_reason in ENDINGS and (rest := self._cutter.rest()):
            yield TextDelta(rest)
        if self._answer and self._aside and self._stop_reason == "end_turn" and not self._answered:
            yield TextDelta(
                self._aside
            )  # it did not call the tool, but may have answered all the same
        if self._answer == "" and reason == "end_turn":
            self._words = self._words or self._aside
        self.limited = self._stop_reason in CUT_SHORT
        yield self.tally.used()

    def _reason(self, told: str | None) -> str | None:
        """Return why the model stopped; to call what the client has to run is an end, too."""
        if told != "tool_use" or not (self._calls or self._answered):
            return told
        return "calls" if self._calls else "end_turn"


def _abandons(event: Raw) -> bool:
    """Say whether Claude Code ends a message that the API has broken off, maybe in a block."""
    return event.get("type") == "message_delta" and not event["delta"].get("stop_reason")


def _as_text(said: Any) -> str:
    """Return *said*. Raises TypeError where it is no text."""
    if not isinstance(said, str):
        raise TypeError(f"{type(said).__name__} in place of a text")
    return said
