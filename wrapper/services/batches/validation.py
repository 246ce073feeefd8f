"""Validation: it finds the lines of an input file, and those of them that cannot run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wrapper.services.batches.batch import LineResult
from wrapper.services.batches.line import LONGEST_LINE, LineError, failed, load_line, split
from wrapper.services.batches.line_index import pack

MOST_LINES = 50_000
# The bytes of results of bad lines that are kept in memory, and those of one more.
HELD_BYTES = 1024 * 1024
# Parsing holds Python's lock, for which other threads wait: it pauses after each such time.
WORK_SECONDS, PAUSE_SECONDS = 0.001, 0.0005

# Keeps the results of lines that cannot run.
Refuse = Callable[[Sequence[LineResult]], None]


class TooManyLines(Exception):
    """Raised for a file with more than MOST_LINES lines, or twice as many with empty ones."""


@dataclass(frozen=True)
class Validated:
    """The packed `index` of `total` lines, and how many of those are `refused`."""

    index: bytes
    total: int
    refused: int


class _Refusals:
    """Gives the results of bad lines to *refuse*, a few at once."""

    def __init__(self, refuse: Refuse):
        self.count = 0
        self._refuse = refuse
        self._held: list[LineResult] = []
        self._size = 0

    def add(self, result: LineResult) -> None:
        self.count += 1
        self._held.append(result)
        self._size += len(result.data)
        if self._size > HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._held:
            self._refuse(self._held)
        self._held, self._size = [], 0


def validate(pieces: Iterable[bytes], size: int, endpoint: str, refuse: Refuse) -> Validated:
    """Check the lines of a file of *size* bytes, of which only one is in memory at a time.

    Raises TooManyLines, and what *refuse* raises.
    """
    begins: list[tuple[int, int]] = []
    refusals = _Refusals(refuse)
    seen: set[bytes] = set()
    pauses = _Pauses()
    for number, (begin, line, data) in enumerate(split(_counted(pieces))):
        if number == MOST_LINES:
            raise TooManyLines
        begins.append((begin, line))
        pauses.take()
        try:
            _check(data, endpoint, seen)
        except LineError as error:
            refusals.add(LineResult(number, False, failed(line, error)))
    refusals.flush()
    return Validated(pack(begins, size), len(begins), refusals.count)


class _Pauses:
    """Lets other threads work, whose requests would wait for a long file otherwise."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def take(self) -> None:
        """Pause, if enough was done since the last pause."""
        if time.monotonic() - self._since >= WORK_SECONDS:
            time.sleep(PAUSE_SECONDS)
            self._since = time.monotonic()


def _counted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *pieces*. Raises TooManyLines, since empty lines take time, too."""
    left = 2 * MOST_LINES
    for piece in pieces:
        left -= piece.count(b"\n")
        if left < 0:
            raise TooManyLines
        yield piece


def _check(data: bytes | None, endpoint: str, seen: set[bytes]) -> None:
    if data is None:
        raise LineError("line_too_long", f"The line is longer than {LONGEST_LINE} bytes.")
    custom_id = load_line(data, endpoint).custom_id
    digest = hashlib.blake2b(custom_id.encode(errors="surrogatepass"), digest_size=16).digest()
    if digest in seen:
        message = "custom_id: an earlier line has the same; give each its own."
        raise LineError("duplicate_custom_id", message, "custom_id", custom_id)
    seen.add(digest)
