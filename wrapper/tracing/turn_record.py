"""What a trace keeps of one turn while it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wrapper.services.events import Ended, Ending, Event, Started, ToolUse, ToolUsed, Used
from wrapper.services.spent import Spent, Usage, sum_costs, sum_usage
from wrapper.services.turn import Turn
from wrapper.tracing.content import LONGEST_TEXT, answered

# An agent may use tools without end, and the queue to the collector is everybody's.
MOST_TOOLS = 128


@dataclass(frozen=True)
class ToolRecord:
    """A tool that was `used`, and the time when it ended, in nanoseconds."""

    used: ToolUsed
    ended: int


@dataclass
class Texts:
    """The beginning of the model's `answer`, and what tools were called with, by their ids.

    They are cut well after what is shown, so that no secret is cut before it is masked.
    """

    answer: str = ""
    arguments: dict[str, str] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Keep what *event* says."""
        if isinstance(event, ToolUse) and len(self.arguments) < MOST_TOOLS:
            self.arguments[event.id] = event.arguments[: 2 * LONGEST_TEXT]
        elif len(self.answer) < 2 * LONGEST_TEXT:
            self.answer += answered(event)


@dataclass
class TurnRecord:
    """The events of a `turn` that began at a time in nanoseconds, as far as a trace shows them.

    `texts` are kept only if they may be shown. `omitted` is the number of tools beyond MOST_TOOLS.
    """

    turn: Turn
    began: int
    texts: Texts | None = None
    used: Used | None = None
    tools: list[ToolRecord] = field(default_factory=list)
    omitted: int = 0
    _start: tuple[int, Started] | None = None
    _end: tuple[int, Ended] | None = None

    def add(self, event: Event, now: int) -> None:
        """Note *event*, which comes *now*."""
        match event:
            case Started() if self._start is None:
                self._start = now, event
            case Used():
                self.used = event
            case Ended():
                self._end = now, event
            case ToolUsed() if len(self.tools) < MOST_TOOLS:
                self.tools.append(ToolRecord(event, now))
            case ToolUsed():
                self.omitted += 1
        if self.texts:
            self.texts.add(event)

    @property
    def first(self) -> int | None:
        """Return the time when the model began to answer."""
        return self._start[0] if self._start else None

    @property
    def started(self) -> Started | None:
        return self._start[1] if self._start else None

    @property
    def ended(self) -> int | None:
        """Return the time when the turn ended by itself."""
        return self._end[0] if self._end else None

    @property
    def ending(self) -> Ending | None:
        return self._end[1].ending if self._end else None

    @property
    def usage(self) -> Usage:
        """Return what the turn used, as far as it was reported."""
        if self._end:
            return self._end[1].usage
        return sum_usage(spent.usage for spent in self._spent())

    @property
    def cost_usd(self) -> float | None:
        """Return what it cost, if that is known."""
        if self._end:
            return self._end[1].cost_usd
        return sum_costs(spent.cost_usd for spent in self._spent())

    def _spent(self) -> Iterable[Spent]:
        return self.used.spent.values() if self.used else ()
