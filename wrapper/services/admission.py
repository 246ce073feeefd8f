"""Admission: how many turns may run at once, of all callers and of each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from wrapper.errors import InvalidRequest, RateLimited
from wrapper.services.principal import LOCAL, Principal


class Admission:
    """A fixed number of places for turns; a request gets all of its places or none."""

    def __init__(self, places: int):
        self._places = places
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def taken(self) -> int:
        """Return how many places are taken."""
        with self._lock:
            return self._taken.total()

    def admit(self, turns: int, principal: Principal = LOCAL) -> Callable[[], None]:
        """Take *turns* places and return what gives them back; it may be called twice.

        Raises RateLimited when there are not as many, or when the caller has too many already, and
        InvalidRequest when there never can be.
        """
        caller = principal.name
        if turns > self._places:
            raise _too_many(turns, self._places)
        with self._lock:
            if turns > self._places - self._taken.total():
                raise _full(f"All {self._places} turns that this gateway runs at once", turns)
            most = principal.concurrent_turns
            if most is not None and turns > most - self._taken[caller]:
                whose = f"that the key {caller!r} may run at once (concurrent_turns)"
                raise _full(f"All {most} turns {whose}", turns)
            self._taken[caller] += turns
        held = [turns]

        def release() -> None:
            with self._lock:
                self._taken[caller] -= held.pop() if held else 0
                self._taken += Counter()  # forgets callers that have none

        return release


def _too_many(turns: int, places: int) -> InvalidRequest:
    return InvalidRequest(
        f"n: {turns} answers were asked for, each a turn of its own, and this gateway runs no more "
        f"than {places} turns at once (MAX_CONCURRENT_TURNS); ask for fewer, in several requests.",
        param="n",
        code="invalid_value",
    )


def _full(what: str, turns: int) -> RateLimited:
    return RateLimited(
        f"{what} are taken, or too few are free for {turns}; try again in a second.",
        retry_after=1,
    )
