"""How often and how long tools were used, and the protocol of what stores that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Protocol

# Of one key in one month, so many tools are counted by their names. MCP servers choose names.
MAX_TOOLS = 256
# Counts for all further tools, and for those that do not exist.
OTHER = "other"


@dataclass(frozen=True)
class ToolCounts:
    """Uses of a tool, how many of them failed or were denied, and the time that all of them took.

    Counts can be added.
    """

    uses: int = 0
    failures: int = 0
    denials: int = 0
    milliseconds: int = 0

    def __add__(self, other: ToolCounts) -> ToolCounts:
        return ToolCounts(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """Return the four numbers, in the order of the fields."""
        return astuple(self)


@dataclass(frozen=True)
class ToolRow:
    """How a key used a tool."""

    key: str
    tool: str
    counts: ToolCounts


class ToolStore(Protocol):
    """Keeps counts. Threads and processes may share it. All methods may raise StoreFailed."""

    def add_tools(self, day: str, key: str, counts: Mapping[str, ToolCounts]) -> None:
        """Add the *counts* of tools, by their names, to those of *key* and *day*.

        Names beyond MAX_TOOLS in a month count as OTHER.
        """
        ...

    def read_tools(self, first: str, last: str, key: str | None = None) -> list[ToolRow]:
        """Return the sums of the days from *first* to *last*, of one key or all.

        They are in order of key and tool.
        """
        ...
