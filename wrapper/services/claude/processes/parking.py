"""The parking: processes that stay after a turn, for one that goes on from it, or is like it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from wrapper import host
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.initialize import initialize_request
from wrapper.services.turn import Message, SessionKey, Turn

Fingerprint = tuple[Any, ...]
# A session, or, of a turn without one, the process's id.
Key = SessionKey | int


@dataclass(frozen=True, eq=False)
class ParkedProcess:
    """A process that waits, and what it is fit for: turns of its session, if there is one.

    `known` is the part of the conversation that it knows; where each turn brings all of it, that is
    none. `emptied` tells, in a while, whether what it knew is out of it.
    """

    session: SessionKey | None
    process: Process
    fingerprint: Fingerprint
    known: tuple[Message, ...] = ()
    emptied: Future[bool] | None = None
    since: float = 0.0

    @property
    def emptying(self) -> bool:
        return self.emptied is not None and not self.emptied.done()

    def knows(self, turn: Turn) -> bool:
        """Say whether all that it knows is what *turn* goes on from."""
        known = self.known
        return len(known) < len(turn.messages) and turn.messages[: len(known)] == known

    def leave(self, discard: Callable[[Process], None]) -> None:
        """Have the process stopped, but not while it is emptied: it would be read from after its
        pipes were closed, by numbers that may be another process's by then."""
        if self.emptied:
            self.emptied.add_done_callback(lambda _: discard(self.process))
        else:
            discard(self.process)


def fingerprint(turn: Turn, workspace: str | None) -> Fingerprint:
    """Return what a process keeps from its first turn on, so that a later one must have the same:
    whose it is, its profile, system prompt, functions, schema and directory. An agent keeps its
    model, too: Claude Code would tell another one in the user's name that it was changed."""
    greeted: Mapping[str, Any] = initialize_request(turn)
    model = turn.model if turn.profile == "agent" else None
    fixed = (turn.principal.name, turn.profile, turn.functions, turn.output_schema, workspace)
    return (*fixed, model, greeted)


class Parking:
    """At most *size* processes, for *idle* seconds of *clock*, of *most_rss* bytes of memory.

    Those without a session go first, and of these the one that has waited for longest. *discard*
    stops one, in the background. *recycle*: what knows another conversation may be taken, too.
    """

    def __init__(
        self,
        size: int,
        *,
        idle: float,
        most_rss: int,
        discard: Callable[[Process], None],
        recycle: bool = False,
        clock: Callable[[], float] = time.monotonic,
        resident: Callable[[int], int] = host.resident,
        scarce: Callable[[], bool] = host.scarce,
    ):
        self._size = size
        self._idle = idle
        self._most_rss = most_rss
        self._discard = discard
        self._recycle = recycle
        self._clock = clock
        self._resident = resident
        self._scarce = scarce
        self._lock = threading.Lock()
        self._places: dict[Key, ParkedProcess] = {}
        self._closed = False

    def park(self, place: ParkedProcess, most: int) -> None:
        """Keep a process, if it fits among *most* and into memory; else it is stopped."""
        if self._scarce() or self._resident(place.process.pid) > self._most_rss:
            place.leave(self._discard)
            return
        with self._lock:
            key = place.session or place.process.pid
            replaced = self._places.pop(key, None)
            kept = not self._closed
            if kept:
                self._places[key] = place
        for gone in (replaced, None if kept else place):
            if gone:
                gone.leave(self._discard)
        self.fit(most)

    def take(self, turn: Turn, workspace: str | None) -> ParkedProcess | None:
        """Return the process that *turn* can go on in, if there is one; it is parked no more.

        One that does not know what the turn goes on from has to be emptied. A session's that does
        not fit, has died, or has spoken without being asked is stopped.
        """
        if turn.session is None:
            return self._take_any(turn, workspace)
        with self._lock:
            place = self._places.pop(turn.session, None)
        if place is None:
            return None
        if _alike(place, turn, workspace) and place.knows(turn):
            return place
        place.leave(self._discard)
        return None

    def fit(self, most: int) -> None:
        """Stop those that waited for longest until there are no more than *most*."""
        with self._lock:
            surplus = len(self._places) - max(0, min(most, self._size))
            by_worth = sorted(self._places, key=lambda key: isinstance(key, SessionKey))
            self._stop(by_worth[: max(0, surplus)])

    def tidy(self) -> None:
        """Stop what has waited too long or has died, and the oldest one where memory is scarce."""
        now = self._clock()
        with self._lock:
            self._stop(
                [
                    key
                    for key, place in self._places.items()
                    if now - place.since >= self._idle or place.process.exit_code() is not None
                ]
            )
            if self._places and self._scarce():
                self._stop([next(iter(self._places))])

    def forget(self, session: SessionKey) -> None:
        with self._lock:
            self._stop([session] if session in self._places else [])

    def sessions(self) -> tuple[SessionKey, ...]:
        with self._lock:
            return tuple(key for key in self._places if isinstance(key, SessionKey))

    def count(self) -> int:
        return len(self._places)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._stop(list(self._places))

    def _take_any(self, turn: Turn, workspace: str | None) -> ParkedProcess | None:
        """Return the place without a session that knows most of what *turn* goes on from."""

        def worth(place: ParkedProcess) -> tuple[int, bool]:
            return (len(place.known) if place.knows(turn) else -1), not place.emptying

        with self._lock:
            fitting = [
                place
                for place in self._places.values()
                if place.session is None
                and (self._recycle or place.knows(turn))
                and _alike(place, turn, workspace)
            ]
            best = max(fitting, key=worth, default=None)
            return self._places.pop(best.process.pid) if best else None

    def _stop(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._places.pop(key).leave(self._discard)


def _alike(place: ParkedProcess, turn: Turn, workspace: str | None) -> bool:
    """Say whether *turn* can be had on the place's process, whatever that knows."""
    return place.fingerprint == fingerprint(turn, workspace) and (
        place.emptying or place.process.alive_and_silent()
    )
