"""The picture of the results: the times side by side, and each number as a part of its limit."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import Round, seconds
from bench.targets import Check

WIDTH, HEIGHT = 11.0, 8.0


def draw(
    single: Sequence[Round], burst: Sequence[Round], checks: Sequence[Check], to: Path
) -> None:
    """Write the picture as a PNG."""
    # Importing it takes a second, and only drawing needs it.
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    plots = importlib.import_module("matplotlib.pyplot")
    figure, (above, below) = plots.subplots(2, 1, figsize=(WIDTH, HEIGHT))
    _times(above, single, burst)
    _limits(below, checks)
    figure.tight_layout()
    figure.savefig(to, dpi=100)


def _times(axes: Any, single: Sequence[Round], burst: Sequence[Round]) -> None:
    names = sorted(single[0], key=lambda name: seconds(single, name, "first").median)
    for offset, rounds, label in ((0.2, single, "one at a time"), (-0.2, burst, "8 at once")):
        medians = [seconds(rounds, name, "first").median * 1e3 for name in names]
        positions = [number + offset for number in range(len(names))]
        bars = axes.barh(positions, medians, 0.38, label=label)
        axes.bar_label(bars, fmt=" %.0f")
    axes.set_yticks(range(len(names)), names)
    axes.set_title("Time to first token, ms (medians)")
    axes.margins(x=0.1)
    axes.legend()


def _limits(axes: Any, checks: Sequence[Check]) -> None:
    colours = ["tab:green" if check.reached else "tab:red" for check in checks]
    parts = [check.part for check in checks]
    bars = axes.barh(range(len(checks)), parts, color=colours)
    axes.bar_label(bars, fmt=" %.2f")
    axes.set_yticks(range(len(checks)), [check.what for check in checks])
    axes.margins(x=0.1)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_title("As a part of the limit")
