"""The protocol of event logs: the events of responses in the background, for all processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

# Groups of events that are read at once.
PAGE = 64


@dataclass(frozen=True)
class LoggedEvent:
    """An event of a stream: its number, and its JSON."""

    number: int
    text: str


class EventLog(Protocol):
    """Keeps the events of each response, by the response's id, while its job is kept.

    Only the process that runs a response adds to its events; any process reads them. All methods
    but `close` raise Unavailable where the log cannot be reached.
    """

    def append(self, id_: str, events: Sequence[LoggedEvent]) -> None:
        """Add *events*, whose numbers follow those before."""
        ...

    def read(self, id_: str, after: int, wait: float = 0.0) -> list[LoggedEvent]:
        """Return the first of the events with a number above *after*; none means there are none.

        It waits at most *wait* seconds for one.
        """
        ...

    def last(self, id_: str) -> LoggedEvent | None:
        """Return the last event, if there is any."""
        ...

    def delete(self, id_: str) -> None:
        """Delete all events of a response."""
        ...

    def close(self) -> None: ...
