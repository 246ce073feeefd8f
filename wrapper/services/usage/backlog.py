"""The backlog: usage that could not be booked yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from wrapper.services.usage.store import Amounts, Row


class Backlog:
    """Rows that wait to be booked, summed by day, key and model. Threads may share it.

    One thread at a time writes them to the store. They stay in the backlog until they are booked,
    so that they always count.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], Amounts] = {}
        self._writing = False
        self._writes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sums)

    def rows(self, first: str, last: str, key: str | None = None) -> list[Row]:
        """Return the rows of the days from *first* to *last*, of one key or all."""
        with self._lock:
            rows = self._rows()
        return [row for row in rows if first <= row.day <= last and key in (None, row.key)]

    def book(self, add: Callable[[Sequence[Row]], None], fresh: Sequence[Row] = ()) -> None:
        """Book the backlog and *fresh* by *add*. Where that raises, *fresh* joins the backlog."""
        rows_taken = self._take()
        try:
            if rows_taken or fresh:
                add([*rows_taken, *fresh])
        except BaseException:
            self._not_written(rows_taken, fresh)
            raise
        self._written(rows_taken)

    def read_with_store(
        self,
        read: Callable[[str, str, str | None], list[Row]],
        first: str,
        last: str,
        key: str | None,
    ) -> list[Row]:
        """Return what *read* finds in the store together with the backlog, in order.

        Rows that are booked meanwhile could be missed in both, so the store is then read again.
        """
        while True:
            before = self._writes
            booked = read(first, last, key)
            waiting = self.rows(first, last, key)
            if before == self._writes:
                return merged([*booked, *waiting])

    def _take(self) -> list[Row]:
        with self._lock:
            rows = [] if self._writing else self._rows()
            self._writing = self._writing or bool(rows)
            return rows

    def _written(self, rows_taken: Sequence[Row]) -> None:
        if rows_taken:
            with self._lock:
                self._writing = False
                self._writes += 1
                for row in rows_taken:
                    self._change(row, Amounts() - row.amounts)

    def _not_written(self, rows_taken: Sequence[Row], fresh: Sequence[Row]) -> None:
        with self._lock:
            if rows_taken:
                self._writing = False
            for row in fresh:
                self._change(row, row.amounts)

    def _rows(self) -> list[Row]:
        return [Row(*key, amounts) for key, amounts in self._sums.items()]

    def _change(self, row: Row, amounts: Amounts) -> None:
        key = (row.day, row.key, row.model)
        changed = self._sums.pop(key, Amounts()) + amounts
        if changed != Amounts():
            self._sums[key] = changed


def merged(rows: Sequence[Row]) -> list[Row]:
    """Return the rows in order of day, key and model, with equal ones added up."""
    sums: dict[tuple[str, str, str], Amounts] = {}
    for row in rows:
        key = (row.day, row.key, row.model)
        sums[key] = sums[key] + row.amounts if key in sums else row.amounts
    return [Row(*key, sums[key]) for key in sorted(sums)]
