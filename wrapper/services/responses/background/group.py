"""The groups of events that a log stores: events that came together, as one compressed value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wrapper.services.responses.background.event_log import LoggedEvent
from wrapper.services.responses.codec import pack, unpack


def encode(events: Sequence[LoggedEvent]) -> bytes:
    """Return *events*, whose JSON has no line breaks, as one value."""
    lines = (str(events[0].number), *(event.text for event in events))
    return pack("\n".join(lines).encode("utf-8", "surrogatepass"))


def decode(data: bytes, after: int = -1) -> Iterator[LoggedEvent]:
    """Yield the events in *data* with a number above *after*. Raises ValueError."""
    first, *texts = unpack(data).decode("utf-8", "surrogatepass").split("\n")
    for number, text in enumerate(texts, int(first)):
        if number > after:
            yield LoggedEvent(number, text)
