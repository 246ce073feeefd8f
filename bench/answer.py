"""The question for every contender, and its answer, timed and checked as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DELTAS = 20
QUESTION = f"[[deltas {DELTAS}]]"
EXPECTED = " ".join(f"w{number}" for number in range(1, DELTAS + 1))


class WrongAnswer(Exception):
    """Raised when an answer is not the expected one, so that its times mean nothing."""


@dataclass(frozen=True)
class Timing:
    """Seconds from the question to the answer's first token, and to its end."""

    first: float
    total: float


class Answer:
    """One running answer. Its clock starts when it is created."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._began = clock()
        self._first: float | None = None
        self._text = ""

    def add(self, text: str) -> None:
        """Add a piece of text; the first one that is not empty is the first token."""
        if text and self._first is None:
            self._first = self._clock() - self._began
        self._text += text

    def end(self) -> Timing:
        """Return how long it took. Raises WrongAnswer if it is not exactly EXPECTED."""
        total = self._clock() - self._began
        if self._first is None or self._text != EXPECTED:
            raise WrongAnswer(f"the answer to {QUESTION} is {self._text!r}")
        return Timing(self._first, total)


def text_of(event: Mapping[str, Any]) -> str:
    """Return the text of a Messages API event."""
    return str(event.get("delta", {}).get("text", ""))
