"""The answers of a request's turns, gathered from their events."""

from __future__ import annotations

from collections.abc import Callable

from wrapper.services.events import Event
from wrapper.services.messages.answer import Answer
from wrapper.services.spent import sum_costs

Remember = Callable[[Answer], None]


class Answers:
    """One answer for each of *count* turns. *remember* keeps one whose turn has ended, if given."""

    def __init__(self, count: int, remember: Remember | None = None):
        self._answers = [Answer() for _ in range(count)]
        self._remember = remember

    def add(self, index: int, event: Event) -> None:
        """Add an event of a turn. Raises BadAnswer if it ends an answer that is of no use."""
        self._answers[index].add(event)

    def remember(self, index: int) -> None:
        """Keep the answer of a turn that has ended. Raises Conflict or Unavailable."""
        if self._remember:
            self._remember(self._answers[index])

    def cost_usd(self) -> float | None:
        """Return what the turns cost; None until all have ended, or if a cost is not known."""
        return sum_costs(a.ended.cost_usd if a.ended else None for a in self._answers)
