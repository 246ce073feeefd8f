"""The protocol of the stores of batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from wrapper.services.batches.batch import BatchState, LineResult

# The bytes of results that are read at once, and those of one more.
PAGE_BYTES = 4 * 1024 * 1024


class BatchStore(Protocol):
    """Keeps the states of batches by id, and the lines of those that have not ended.

    Threads and processes may share it. Each step is atomic. All methods but `close` may raise
    Unavailable.
    """

    def create(self, id_: str, forget_at: float) -> None:
        """Keep a new batch until that time, in Unix seconds."""
        ...

    def read(self, id_: str) -> BatchState | None: ...

    def refuse(self, id_: str, refused: Sequence[LineResult]) -> None:
        """Keep the results of lines that cannot run, before the batch begins."""
        ...

    def begin(self, id_: str, index: bytes, total: int, refused: int, facts: Any) -> None:
        """Let lines be claimed, of which so many are *refused*.

        Only the first call changes anything.
        """
        ...

    def index(self, id_: str) -> bytes:
        """Return the packed index of the batch's lines."""
        ...

    def claim(self, id_: str, worker: str) -> int | None:
        """Give the next line to *worker*, and return its number; None if there is none."""
        ...

    def release(self, id_: str, number: int) -> None:
        """Take back a line that has not begun, for others to claim."""
        ...

    def finish(self, id_: str, worker: str, result: LineResult) -> bool:
        """Keep the result of a line of *worker*, unless it has one, and say whether it is kept."""
        ...

    def running(self, id_: str) -> Sequence[tuple[int, str]]:
        """Return the lines that were claimed and have no result, each with its worker."""
        ...

    def results(self, id_: str, first: int, count: int) -> tuple[Sequence[LineResult], int]:
        """Return results among *count* lines from number *first*, and the number to read on from.

        They are in the order of their lines, and none follows one with which they have more than
        PAGE_BYTES.
        """
        ...

    def lines_waiting(self, ids: Collection[str]) -> int:
        """Return how many lines of these batches no worker has claimed yet."""
        ...

    def change(self, id_: str, facts: Mapping[str, Any]) -> None:
        """Change these facts."""
        ...

    def take_over(self, id_: str, before: str, after: str) -> bool:
        """Let *after* write the result files instead of *before*; nobody does at first, as "".

        Return False, and change nothing, if another does.
        """
        ...

    def finalizer(self, id_: str) -> str:
        """Return who writes the result files."""
        ...

    def delete(self, id_: str) -> None:
        """Forget a batch and its lines."""
        ...

    def clear(self, id_: str) -> None:
        """Forget the lines of a batch that has ended."""
        ...

    def forget(self, now: float) -> None:
        """Forget the batches whose time is over."""
        ...

    def close(self) -> None: ...
