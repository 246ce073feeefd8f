"""Rounds in which each contender is asked once, so that drift affects all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bench.answer import Timing
from bench.contenders import Contender
from bench.figures import Round

T = TypeVar("T")

# Processes that have just ended or booted settle meanwhile.
SETTLE_SECONDS = 0.3


def measure(
    contenders: Sequence[Contender],
    rounds: int,
    at_once: int,
    pause: Callable[[float], None] = time.sleep,
) -> list[Round]:
    """Return *rounds* rounds, after one that is discarded. Each begins with another contender."""
    return [_round(rotated(contenders, i), at_once, pause) for i in range(rounds + 1)][1:]


def rotated(items: Sequence[T], by: int) -> list[T]:
    """Return *items* from the one with the index *by* on, and then those before it."""
    by %= len(items)
    return [*items[by:], *items[:by]]


def _round(contenders: Sequence[Contender], at_once: int, pause: Callable[[float], None]) -> Round:
    timings: Round = {}
    for contender in contenders:
        for each in contenders:
            each.prepare()
        pause(SETTLE_SECONDS)
        timings[contender.name] = sample(contender, at_once)
    return timings


def sample(contender: Contender, at_once: int) -> Timing:
    """Ask *at_once* times in parallel, and return the medians."""
    with ThreadPoolExecutor(at_once) as askers:
        asked = [askers.submit(contender.ask) for _ in range(at_once)]
        timings = [future.result() for future in asked]
    first = statistics.median(timing.first for timing in timings)
    return Timing(first, statistics.median(timing.total for timing in timings))
