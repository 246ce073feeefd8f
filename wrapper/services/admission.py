"""Admission: how many turns may run at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from wrapper.errors import RateLimited


class Admission:
    """A fixed number of places for turns; a request gets all of its places or none."""

    def __init__(self, places: int):
        self._places = places
        self._free = places
        self._lock = threading.Lock()

    def admit(self, turns: int) -> Callable[[], None]:
        """Take *turns* places and return what gives them back; it may be called twice.

        Raises RateLimited when there are not as many.
        """
        with self._lock:
            if turns > self._free:
                raise RateLimited(
                    f"All {self._places} turns that this gateway runs at once are taken, "
                    f"or too few are free for {turns}; try again in a second.",
                    retry_after=1,
                )
            self._free -= turns
        taken = [turns]

        def release() -> None:
            with self._lock:
                self._free += taken.pop() if taken else 0

        return release
