"""The answer: what every contender is asked, and what it says, timed and checked as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

DELTAS = 20
QUESTION = f"[[deltas {DELTAS}]]"
EXPECTED = " ".join(f"w{number}" for number in range(1, DELTAS + 1))


class WrongAnswer(Exception):
    """Raised when an answer is not the one that was asked for: its times say nothing."""


@dataclass(frozen=True)
class Timing:
    """Seconds from the question to the answer's first token, and to its end."""

    first: float
    total: float


class Answer:
    """One answer under way, whose clock starts when it is made."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._began = clock()
        self._first: float | None = None
        self._text = ""

    def add(self, text: str) -> None:
        """Take what came; the first that is not empty is the first token."""
        if text and self._first is None:
            self._first = self._clock() - self._began
        self._text += text

    def end(self) -> Timing:
        """Return how long it took. Raises WrongAnswer where it is not exactly EXPECTED."""
        total = self._clock() - self._began
        if self._first is None or self._text != EXPECTED:
            raise WrongAnswer(f"{QUESTION} was answered with {self._text!r}")
        return Timing(self._first, total)
