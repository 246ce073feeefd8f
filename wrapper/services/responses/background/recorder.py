"""The recorder of one response's events: numbers them, joins deltas, and logs them in groups."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from wrapper.errors import RequestTooLarge
from wrapper.json_text import Json
from wrapper.json_text.encoding import encode
from wrapper.services.responses.background.event_log import EventLog, LoggedEvent

# Events that come closer together are logged at once.
PAUSE = 0.05
# The most characters of a group, save where one event has more.
GROUP = 64 * 1024


class EventRecorder:
    """Logs the events of the response *id_* from the number *first* on.

    Deltas of an item that come close together become one. The events may have *most* characters of
    JSON together.
    """

    def __init__(
        self,
        log: EventLog,
        id_: str,
        first: int,
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._log = log
        self._id = id_
        self._next = first
        self._left: float = most
        self._clock = clock
        self._flushed = 0.0
        self._group: list[LoggedEvent] = []
        self._size = 0
        self._delta: Json | None = None  # the last event, if it is a delta that may grow

    def add(self, event: Json | None) -> None:
        """Add *event*, or log what is held back if None. Raises RequestTooLarge or Unavailable."""
        if event and self._delta and _continues(event, self._delta):
            self._delta = {**self._delta, "delta": self._delta["delta"] + event["delta"]}
        elif event:
            self._settle()
            if "delta" in event:
                self._delta = event
            else:
                self._write(event)
        if event is None or self._clock() - self._flushed >= PAUSE or self._size > GROUP:
            self.flush()

    def flush(self) -> None:
        """Log what is held back. Raises RequestTooLarge or Unavailable."""
        self._settle()
        if self._group:
            self._log.append(self._id, self._group)
            self._group, self._size = [], 0
        self._flushed = self._clock()

    def _settle(self) -> None:
        """Let the last delta grow no more."""
        if delta := self._delta:
            self._delta = None
            self._write(delta)

    def _write(self, event: Json) -> None:
        number, self._next = self._next, self._next + 1
        text = encode({**event, "sequence_number": number})
        self._size += len(text)
        self._group.append(LoggedEvent(number, text))
        self._left -= len(text)
        if self._left < 0:
            self._left = math.inf  # the event of this failure is still to be logged
            raise RequestTooLarge(
                "The response has more events than SESSION_MAX_BYTES allows one in the background; "
                "ask for less at once.",
                retry=False,
            )


def _continues(event: Json, before: Json) -> bool:
    """Say whether *event* adds to what the delta *before* it adds to."""
    same = ("type", "item_id")
    return "delta" in event and all(event.get(name) == before.get(name) for name in same)
