"""Estimate how many values a JSON text has, before it is parsed.

Each value takes time to build, and 20 times its length in memory. Parsing holds the GIL.
"""

from __future__ import annotations

from collections.abc import Iterator

from wrapper.json_text import Bytes

MOST_VALUES = 250_000
MARKS = (b",", b"[", b"{")
# Other threads get their turn between two windows, and a text with too many values ends early.
WINDOW_BYTES = 64 * 1024


def has_too_many_values(data: Bytes) -> bool:
    """Return whether *data*, a JSON text, has more than MOST_VALUES values, or names and values."""
    if len(data) <= MOST_VALUES:  # each takes a byte
        return False
    return _exceeds(map(_marks, _windows(data))) and _exceeds(_marks_outside_strings(data))


def _exceeds(counts: Iterator[int]) -> bool:
    total = 0
    return any((total := total + count) > MOST_VALUES for count in counts)


def _windows(data: Bytes) -> Iterator[Bytes]:
    """Yield *data* in parts that do not end within an escape."""
    start = 0
    while window := data[start : start + WINDOW_BYTES]:
        backslashes = len(window) - len(window.rstrip(b"\\"))
        if backslashes % 2 and len(window) == WINDOW_BYTES:
            window = window[:-1]
        yield window
        start += len(window)


def _marks_outside_strings(data: Bytes) -> Iterator[int]:
    """Yield the marks of each window that are not in strings, or what its strings count for."""
    inside = False
    for window in _windows(data):
        plain = window.replace(rb"\\", b"").replace(rb"\"", b"")
        # Without escapes, every other quote ends a string.
        pieces = plain.split(b'"')
        quotes = len(pieces) - 1
        yield max(_marks(b"".join(pieces[inside::2])), quotes // 4)
        inside ^= bool(quotes % 2)


def _marks(data: Bytes) -> int:
    return sum(map(data.count, MARKS))
