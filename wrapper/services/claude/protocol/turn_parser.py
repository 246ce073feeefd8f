"""What every parser of a turn's stream follows: the turn's usage, and how the turn ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from wrapper.services.claude.protocol.event_order import EventOrder
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Ended, Ending, Event
from wrapper.services.spent import sum_usage

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
# After these Claude Code asks the model to continue.
CUT_SHORT = {"max_tokens", "model_context_window_exceeded"}


class TurnParser(ABC):
    """Follows the raw Messages API events of one turn's main thread.

    The answer may be complete before the process is done: it is `limited` at max_tokens, where
    Claude Code asks the model to continue. Once it has asked, `went_on` is true. Later events then
    count for nothing but usage.
    """

    def __init__(self, usage: UsageCounter | None = None, *, resumed: bool = False):
        self.usage = usage or UsageCounter()
        self.limited = False
        self.went_on = False
        self._resumed = resumed
        self._order = EventOrder()
        self._stop_reason: str | None = None
        self._abandoned = False

    @property
    def started(self) -> bool:
        """Say whether the model has begun to answer."""
        return self.usage.model is not None

    @property
    def cut(self) -> bool:
        """Say whether a stop sequence has ended the answer while the model still writes."""
        return False

    @property
    def called(self) -> bool:
        """Say whether the model ended its answer with calls that wait for the client."""
        return False

    @property
    def broke_off(self) -> bool:
        """Say whether the last message has no stop reason."""
        return self.started and self._stop_reason is None

    @property
    def answering(self) -> bool:
        """Say whether a message that counts is not complete yet."""
        return self.broke_off and not self.cut

    @abstractmethod
    def read(self, event: Raw) -> Iterator[Event]:
        """Yield the events that one Messages API event stands for.

        Raises BadGateway if an answer begins again, or if events come in an impossible order.
        """

    @abstractmethod
    def rest(self, result: Raw | None) -> Iterator[Event]:
        """Yield what only Claude Code's *result* shows of the answer."""

    def refuse(self, details: Raw) -> None:
        """Record a refusal. Claude Code reports it apart and keeps the API's stop reason back."""
        self._stop_reason = "refusal"

    def exhaust(self, limit: str) -> None:
        """Record that a *limit*, max_turns or budget, ends the turn before the next round."""
        if self._ending() is None:
            self._stop_reason = limit

    def abandon(self) -> None:
        """Record that nobody waits for the answer any more."""
        self._abandoned = True

    def end(self, result: Raw | None) -> Ended | None:
        """Return how the turn ended, or None if neither the model nor the client ended it."""
        ending = self._ending()
        if ending is None and self._abandoned:
            ending = Ending.ABANDONED
        if ending is None:
            return None
        usage = sum_usage(spent.usage for spent in self.usage.used(result).spent.values())
        return Ended(ending, usage, self.usage.cost(result))

    def _ending(self) -> Ending | None:
        """Return how the answer ended, or None if it did not."""
        return ENDINGS.get(self._stop_reason or "")

    def _follow_order(self, event: Raw) -> None:
        """Raise BadGateway for an *event* that may not come now."""
        if is_aborted(event):
            self._order.abandon()
        else:
            self._order.check(str(event.get("type")))

    def _read_usage(self, event: Raw) -> None:
        """Read what comes after the end of the answer: its usage, and whether a message follows."""
        kind = event.get("type")
        self.went_on = self.went_on or kind == "message_start"
        if kind == "message_delta" and not self.went_on:
            self.usage.stop(event.get("usage"))


def is_aborted(event: Raw) -> bool:
    """Say whether Claude Code ends a message that the API broke off, maybe within a block."""
    return event.get("type") == "message_delta" and not event["delta"].get("stop_reason")
