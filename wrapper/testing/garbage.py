"""Garbage that a broken upstream, or a proxy before it, sends instead of an answer's events.

page         a proxy's page of HTML
object       a JSON object that is not an answer
noise        bytes of all kinds
prose        lines that are not events
torn         events, one of them cut in half
backwards    events in the wrong order
headless     events without the first
unclosed     events without the one that closes the text
unended      events without the last ones
again        half the events, and then all of them
strange      unknown kinds of events, among the others
split        half a character in a text
line         a line of 5 MB, and then the events
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Events = list[bytes]

PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Who are you?</body></html>"
LINE_BYTES = 5 * 1000**2
STRANGE = b'event: brand_new\ndata: {"type": "brand_new", "index": 0}\n\n'


def spoil(kind: str, events: Events) -> tuple[str, Iterator[bytes]]:
    """Return the content type and the bytes that replace *events*."""
    return TYPES.get(kind, "text/event-stream"), KINDS[kind](events)


def _prose(events: Events) -> Iterator[bytes]:
    for event in events:
        yield event.replace(b"data: ", b"see: ").replace(b"event: ", b"\0").replace(b"\n\n", b"\n")


def _torn(events: Events) -> Iterator[bytes]:
    half = events[3][: len(events[3]) // 2] + b"\n\n"
    yield from (*events[:3], half, *events[4:])


def _without(events: Events, kind: bytes) -> Iterator[bytes]:
    return (event for event in events if kind not in event)


def _strange(events: Events) -> Iterator[bytes]:
    for event in events:
        yield from (event, STRANGE)


def _split(events: Events) -> Iterator[bytes]:
    return (event.replace(rb"\u00e9", b"\xc3") for event in events)


KINDS: dict[str, Callable[[Events], Iterator[bytes]]] = {
    "page": lambda events: iter((PAGE,)),
    "object": lambda events: iter((b'{"status": "ok"}',)),
    "noise": lambda events: iter((bytes(range(256)) * 400,)),
    "prose": _prose,
    "torn": _torn,
    "backwards": lambda events: reversed(events),
    "headless": lambda events: iter(events[1:]),
    "unclosed": lambda events: _without(events, b"content_block_stop"),
    "unended": lambda events: iter(events[:-3]),
    "again": lambda events: iter((*events[:4], *events)),
    "strange": _strange,
    "split": _split,
    "line": lambda events: iter((b": " + b"x" * LINE_BYTES + b"\n", *events)),
}
TYPES = {"page": "text/html", "object": "application/json"}
