"""The parking lot: processes that wait after a turn for the next turn that can use them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from wrapper import host
from wrapper.services.claude.processes.priority import has_low_priority
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.protocol.initialize import initialize_request
from wrapper.services.turn import SessionKey, Turn

Fingerprint = tuple[Any, ...]
# A session, or the process id where the turn had no session.
Key = SessionKey | int


@dataclass(frozen=True, eq=False)
class ParkedProcess:
    """A process that waits for a turn of its session, or for any turn if it has no session.

    `clearing` is the result of `clear`, before, while or after the process is cleared of its
    conversation.
    A turn may take one that is `recyclable` although it knows another conversation.
    """

    session: SessionKey | None
    process: Process
    fingerprint: Fingerprint
    state: ProcessState = field(default_factory=ProcessState)
    clearing: Future[ProcessState | None] | None = None
    since: float = 0.0
    recyclable: bool = False

    @property
    def caller(self) -> str:
        """Return the name of the key whose turns may run on it."""
        return str(self.fingerprint[0])

    @property
    def in_background(self) -> bool:
        """Say whether only turns in the background may run on it."""
        return bool(self.fingerprint[1])

    @property
    def is_clearing(self) -> bool:
        """Say whether it is being cleared, or is to be."""
        return self.clearing is not None and not self.clearing.done()

    def continues(self, turn: Turn) -> bool:
        """Say whether *turn* continues the conversation that the process knows."""
        known = self.state.known
        if not known:  # a turn with a body has no messages
            return True
        return len(known) < len(turn.messages) and turn.messages[: len(known)] == known

    def matches(self, turn: Turn, workspace: str | None) -> bool:
        """Say whether *turn* can run on the process, whatever conversation that knows."""
        return self.fingerprint == fingerprint(turn, workspace) and (
            self.is_clearing or self.process.alive_and_silent()
        )

    def discard(self, discard: Callable[[Process], None]) -> None:
        """Stop the process with *discard*, after it was cleared if that has begun.

        Else `clear` would read from file descriptors that are closed, or another process's.
        """
        if self.clearing:
            self.clearing.cancel()
            self.clearing.add_done_callback(lambda _: discard(self.process))
        else:
            discard(self.process)


def fingerprint(turn: Turn, workspace: str | None) -> Fingerprint:
    """Return what a process keeps from its first turn, so each later turn must have the same.

    That is the caller, priority, profile, system prompt, functions, schema, MCP servers and
    directory. An agent also keeps its model, since Claude Code would tell a new one, in the user's
    name, that it was changed.
    """
    model = turn.model if turn.profile == "agent" else None
    caller = (turn.principal.name, has_low_priority(turn), turn.profile)
    fixed = (turn.functions, turn.output_schema, workspace, turn.mcp_servers)
    return (*caller, *fixed, model, initialize_request(turn))


@dataclass(frozen=True)
class ParkingLimits:
    """At most `size` processes, each idle for `idle` seconds and of `max_rss` bytes at most."""

    size: int
    idle: float
    max_rss: int


class Parking:
    """Keeps processes within *limits*. Those without a session go first, then the oldest ones.

    *discard* stops a process in the background. *resident* returns a process's memory by its id,
    and *scarce* says whether the machine is short of memory.
    """

    def __init__(
        self,
        limits: ParkingLimits,
        *,
        discard: Callable[[Process], None],
        clock: Callable[[], float] = time.monotonic,
        resident: Callable[[int], int] = host.resident,
        scarce: Callable[[], bool] = host.scarce,
    ):
        self._limits = limits
        self._discard = discard
        self._clock = clock
        self._resident = resident
        self._scarce = scarce
        self._lock = threading.Lock()
        self._parked: dict[Key, ParkedProcess] = {}
        self._closed = False

    def park(self, parked: ParkedProcess, limit: int) -> None:
        """Keep a process if there are no more than *limit* and memory allows; else stop it."""
        if self._scarce() or self._resident(parked.process.pid) > self._limits.max_rss:
            parked.discard(self._discard)
            return
        with self._lock:
            key = parked.session or parked.process.pid
            replaced = self._parked.pop(key, None)
            kept = not self._closed
            if kept:
                self._parked[key] = parked
        for unwanted in (replaced, None if kept else parked):
            if unwanted:
                unwanted.discard(self._discard)
        self.shrink(limit)

    def take(self, turn: Turn, workspace: str | None) -> ParkedProcess | None:
        """Remove and return the process that *turn* can run on, if there is one.

        A process that *turn* does not continue must be cleared first. A session's process is
        stopped if it does not fit the turn, has died, or has written something unasked.
        """
        if turn.session is None:
            return self._take_any(turn, workspace)
        with self._lock:
            parked = self._parked.pop(turn.session, None)
        if parked is None:
            return None
        if parked.matches(turn, workspace) and parked.continues(turn):
            return parked
        parked.discard(self._discard)
        return None

    def shrink(self, limit: int) -> None:
        """Stop some until there are no more than *limit*.

        The first to go are those for turns in the background, and then those of the caller who has
        most, so that none can displace another's.
        """
        with self._lock:
            surplus = len(self._parked) - max(0, min(limit, self._limits.size))
            for _ in range(surplus):
                self._stop([min(self._parked, key=self._worth())])

    def remove_expired(self) -> None:
        """Stop those that have waited too long or died, and the oldest if memory is scarce."""
        now = self._clock()
        with self._lock:
            self._stop(
                [
                    key
                    for key, parked in self._parked.items()
                    if now - parked.since >= self._limits.idle
                    or parked.process.exit_code() is not None
                ]
            )
            if self._parked and self._scarce():
                self._stop([next(iter(self._parked))])

    def forget(self, session: SessionKey) -> None:
        with self._lock:
            self._stop([session] if session in self._parked else [])

    def sessions(self) -> tuple[SessionKey, ...]:
        with self._lock:
            return tuple(key for key in self._parked if isinstance(key, SessionKey))

    def count(self) -> int:
        return len(self._parked)

    def count_recycled(self) -> int:
        """Return how many know no conversation, and so wait for any of their key."""
        with self._lock:
            parked = list(self._parked.values())
        return sum(each.session is None and not each.state.known for each in parked)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._stop(list(self._parked))

    def _take_any(self, turn: Turn, workspace: str | None) -> ParkedProcess | None:
        """Remove and return the process without a session that knows most of *turn*.

        Among those that know as much it is the one that ran last, as its memory is in the caches;
        if all are still being cleared, it is the first one, which is ready next.
        """

        def worth(parked: ParkedProcess) -> tuple[int, bool, float]:
            known = len(parked.state.known) if parked.continues(turn) else -1
            is_ready = not parked.is_clearing
            return known, is_ready, parked.since if is_ready else -parked.since

        with self._lock:
            candidates = [
                parked
                for parked in self._parked.values()
                if parked.session is None
                and (parked.recyclable or parked.continues(turn))
                and parked.matches(turn, workspace)
            ]
            best = max(candidates, key=worth, default=None)
            return self._parked.pop(best.process.pid) if best else None

    def _worth(self) -> Callable[[Key], tuple[bool, bool, int]]:
        """Return what to sort by: sessions last, and before that by the callers' numbers."""
        numbers = Counter(parked.caller for parked in self._parked.values())

        def worth(key: Key) -> tuple[bool, bool, int]:
            parked = self._parked[key]
            awaited = not parked.in_background
            return isinstance(key, SessionKey), awaited, -numbers[parked.caller]

        return worth

    def _stop(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._parked.pop(key).discard(self._discard)
