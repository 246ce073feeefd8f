"""The report: rounds written as tables in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Round, Spread, ratio, seconds
from bench.targets import BARE, PRINT

HEAD = (
    f"| | first token, ms | total, ms | first ÷ `{PRINT}` | total ÷ `{PRINT}` "
    f"| first ÷ {BARE} | total ÷ {BARE} |\n"
    "| --- | --- | --- | --- | --- | --- | --- |\n"
)


def table(rounds: Sequence[Round]) -> str:
    """Return a row for each contender, fastest first: median, and in brackets the quartiles."""
    names = sorted(rounds[0], key=lambda name: seconds(rounds, name, "first").median)
    return HEAD + "".join(_row(rounds, name) for name in names)


def times(rounds: Sequence[Round]) -> str:
    """Return a table of the contenders' own times."""
    head = "| | first token, ms | total, ms |\n| --- | --- | --- |\n"
    rows = (
        f"| `{name}` | {_milliseconds(seconds(rounds, name, 'first'))} "
        f"| {_milliseconds(seconds(rounds, name, 'total'))} |\n"
        for name in rounds[0]
    )
    return head + "".join(rows)


def _row(rounds: Sequence[Round], name: str) -> str:
    cells = [
        f"`{name}`",
        _milliseconds(seconds(rounds, name, "first")),
        _milliseconds(seconds(rounds, name, "total")),
        *(
            _ratio(ratio(rounds, name, under, part))
            for under in (PRINT, BARE)
            for part in ("first", "total")
        ),
    ]
    return f"| {' | '.join(cells)} |\n"


def _milliseconds(of: Spread) -> str:
    return f"{of.median * 1e3:.0f} ({of.low * 1e3:.0f}-{of.high * 1e3:.0f})"


def _ratio(of: Spread) -> str:
    return f"{of.median:.2f} ({of.low:.2f}-{of.high:.2f})"
