"""The backlog: usage that could not be booked yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from wrapper.services.usage.store import Amounts, Row

# How long a reader waits for the end of a write, which takes far less unless the store is slow.
PATIENCE_SECONDS = 0.1
# The day, key, model and user of a row.
_Names = tuple[str, str, str, str]


class Backlog:
    """Rows that wait to be booked, summed by day, key, model and user. Threads may share it.

    One thread at a time writes them to the store. They stay in the backlog until they are booked,
    so that they always count.
    """

    def __init__(self) -> None:
        self._sums: dict[_Names, Amounts] = {}
        self._idle = threading.Event()  # set while no thread writes rows of the backlog
        self._idle.set()
        self._writes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sums)

    def rows(
        self, first: str, last: str, key: str | None = None, user: str | None = None
    ) -> list[Row]:
        """Return the rows of the days from *first* to *last*, of one key or all.

        They are those of one user, or with "" those of no user.
        """
        with self._lock:
            rows = self._rows()
        chosen = [row for row in rows if first <= row.day <= last and key in (None, row.key)]
        return [row for row in chosen if user in (None, row.user)]

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
        read: Callable[[], list[Row]],
        first: str,
        last: str,
        key: str | None,
        user: str,
    ) -> list[Row]:
        """Return what *read* finds in the store together with those rows of the backlog, in order.

        Rows that are booked meanwhile could be missed in both, so the store is then read again.
        Those that the store may have already stay in the backlog until their write ends, so that is
        waited for; but if it takes long the store has probably not got to them.
        """
        while True:
            before = self._writes
            booked = read()
            self._idle.wait(PATIENCE_SECONDS)
            waiting = self.rows(first, last, key, user)
            if before == self._writes:
                return merged([*booked, *waiting])

    def _take(self) -> list[Row]:
        with self._lock:
            rows = self._rows() if self._idle.is_set() else []
            if rows:
                self._idle.clear()
            return rows

    def _written(self, rows_taken: Sequence[Row]) -> None:
        if rows_taken:
            with self._lock:
                self._writes += 1
                for row in rows_taken:
                    self._change(row, Amounts() - row.amounts)
                self._idle.set()

    def _not_written(self, rows_taken: Sequence[Row], fresh: Sequence[Row]) -> None:
        with self._lock:
            if rows_taken:
                self._idle.set()
            for row in fresh:
                self._change(row, row.amounts)

    def _rows(self) -> list[Row]:
        return [_row(names, amounts) for names, amounts in self._sums.items()]

    def _change(self, row: Row, amounts: Amounts) -> None:
        names = _names(row)
        changed = self._sums.pop(names, Amounts()) + amounts
        if changed != Amounts():
            self._sums[names] = changed


def merged(rows: Sequence[Row]) -> list[Row]:
    """Return the rows in order of day, key and model, with equal ones added up."""
    sums: dict[_Names, Amounts] = {}
    for row in rows:
        names = _names(row)
        sums[names] = sums[names] + row.amounts if names in sums else row.amounts
    return [_row(names, sums[names]) for names in sorted(sums)]


def _names(row: Row) -> _Names:
    return row.day, row.key, row.model, row.user


def _row(names: _Names, amounts: Amounts) -> Row:
    day, key, model, user = names
    return Row(day, key, model, amounts, user)
