"""The index of an input file: where its lines are, without the empty ones."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class LineSpan:
    """The bytes of a line in its file, from `begin`, and its `line` there, from 1.

    Those before `end` may also have empty lines that follow it.
    """

    begin: int
    end: int
    line: int


class LineIndex:
    """The spans of lines, by their numbers from 0. It is empty once its batch has ended."""

    def __init__(self, packed: bytes):
        self._values = array("Q", packed)

    def __len__(self) -> int:
        return len(self._values) // 2

    def __getitem__(self, number: int) -> LineSpan:
        begin, line, end = self._values[2 * number : 2 * number + 3]
        return LineSpan(begin, end, line)


def pack(begins: Iterable[tuple[int, int]], end: int) -> bytes:
    """Return the index of lines, of each of which *begins* has the first byte and the line.

    *end* is where the last one ends.
    """
    return array("Q", (*chain.from_iterable(begins), end)).tobytes()
