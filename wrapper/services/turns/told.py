"""What a request is answered with: a whole completion, or a stream of its chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Completion:
    """A whole completion. `notes`, by header name, tell where it is not quite what was asked."""

    body: dict[str, Any]
    notes: dict[str, str]

    @property
    def text(self) -> str:
        """What the first choice says; nothing where it refuses, or calls functions."""
        return self.body["choices"][0]["message"]["content"] or ""


@dataclass(frozen=True)
class Stream:
    """A completion's chunks, None among them where nothing came; `close` ends it at any time.

    It must be closed. Iterated over, it yields the chunks alone, and it closes itself after them,
    as it does at the end of a `with`.
    """

    chunks: Iterator[dict[str, Any] | None]
    close: Callable[[], None]
    notes: dict[str, str]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self:
            yield from (chunk for chunk in self.chunks if chunk is not None)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
