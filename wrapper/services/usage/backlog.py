"""The backlog: what was spent and could not be booked yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from wrapper.services.usage.store import Amounts, Row


class Backlog:
    """Rows, summed up by day, key and model. Threads may use it at once.

    One thread at a time carries them to the store. They stay here until they are booked, so that
    they count all the while.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], Amounts] = {}
        self._carried = False
        self._landings = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sums)

    def rows(self, first: str, last: str, key: str | None = None) -> list[Row]:
        """Return the rows of the days from *first* to *last*, of one key or all."""
        with self._lock:
            rows = self._rows()
        return [row for row in rows if first <= row.day <= last and key in (None, row.key)]

    def book(self, add: Callable[[Sequence[Row]], None], fresh: Sequence[Row] = ()) -> None:
        """Let *add* book *fresh* and the backlog; where it raises, fresh comes to the backlog."""
        carried = self._carry()
        try:
            if carried or fresh:
                add([*carried, *fresh])
        except BaseException:
            self._return(carried, fresh)
            raise
        self._land(carried)

    def beside(
        self,
        read: Callable[[str, str, str | None], list[Row]],
        first: str,
        last: str,
        key: str | None,
    ) -> list[Row]:
        """Return what *read* finds in the store, and the backlog beside it, in order.

        What lands meanwhile would be missed in both, so that the store is then read again.
        """
        while True:
            before = self._landings
            booked = read(first, last, key)
            waiting = self.rows(first, last, key)
            if before == self._landings:
                return merged([*booked, *waiting])

    def _carry(self) -> list[Row]:
        with self._lock:
            rows = [] if self._carried else self._rows()
            self._carried = self._carried or bool(rows)
            return rows

    def _land(self, carried: Sequence[Row]) -> None:
        if carried:
            with self._lock:
                self._carried = False
                self._landings += 1
                for row in carried:
                    self._change(row, Amounts() - row.amounts)

    def _return(self, carried: Sequence[Row], fresh: Sequence[Row]) -> None:
        with self._lock:
            if carried:
                self._carried = False
            for row in fresh:
                self._change(row, row.amounts)

    def _rows(self) -> list[Row]:
        return [Row(*place, amounts) for place, amounts in self._sums.items()]

    def _change(self, row: Row, amounts: Amounts) -> None:
        place = (row.day, row.key, row.model)
        changed = self._sums.pop(place, Amounts()) + amounts
        if changed != Amounts():
            self._sums[place] = changed


def merged(rows: Sequence[Row]) -> list[Row]:
    """Return the rows in order of day, key and model, each of these once."""
    sums: dict[tuple[str, str, str], Amounts] = {}
    for row in rows:
        place = (row.day, row.key, row.model)
        sums[place] = sums[place] + row.amounts if place in sums else row.amounts
    return [Row(*place, sums[place]) for place in sorted(sums)]
