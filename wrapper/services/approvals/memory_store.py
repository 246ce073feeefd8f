"""The memory store: approvals of one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from wrapper.services.approvals.approval import Approval, Decision
from wrapper.services.approvals.store import (
    KEPT_SECONDS,
    MOST_KEPT,
    MOST_KEPT_OF_KEY,
    Notify,
    Room,
)

# Decided approvals that are kept at most.
MOST_DECIDED = 1000


class MemoryApprovalStore:
    """Keeps as many pending approvals as there is *room* for."""

    def __init__(self, room: Room, clock: Callable[[], float] = time.time):
        self._room = room
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: dict[str, tuple[Approval, Notify]] = {}
        self._decided: dict[str, tuple[Approval, float]] = {}  # with the time of the decision
        self._kept: dict[str, tuple[Approval, float]] = {}  # with the time until which it is kept

    def add(self, approval: Approval, notify: Notify) -> None:
        owner = approval.asker.owner
        with self._lock:
            own = sum(each.asker.owner == owner for each, _ in self._pending.values())
            self._room.check(len(self._pending), own)
            self._pending[approval.id] = approval, notify

    def decide(self, id_: str, decision: Decision) -> Approval | None:
        with self._lock:
            if id_ not in self._pending:
                return self._decide_kept(id_, decision) or self._find_decided(id_)
            approval, notify = self._pending.pop(id_)
            approval = replace(approval, decision=decision)
            self._decided[id_] = approval, self._clock()
            while len(self._decided) > MOST_DECIDED:
                del self._decided[next(iter(self._decided))]
        notify(decision)
        return approval

    def read(self, id_: str) -> Approval | None:
        with self._lock:
            pending = self._pending.get(id_)
            return pending[0] if pending else self._find_kept(id_) or self._find_decided(id_)

    def pending(self, owner: str | None) -> Sequence[Approval]:
        with self._lock:
            waiting = [approval for approval, _ in self._pending.values()]
            kept = [each for each in self._all_kept() if each.decision is None]
        approvals = sorted([*waiting, *kept], key=lambda approval: approval.created)
        return [each for each in approvals if owner in (None, each.asker.owner)]

    def keep(self, approval: Approval, seconds: float) -> None:
        now, owner = self._clock(), approval.asker.owner
        with self._lock:
            self._kept = {id_: each for id_, each in self._kept.items() if each[1] > now}
            self._kept[approval.id] = approval, now + seconds
            own = [id_ for id_, (each, _) in self._kept.items() if each.asker.owner == owner]
            for id_ in {*own[:-MOST_KEPT_OF_KEY], *[*self._kept][:-MOST_KEPT]}:
                del self._kept[id_]

    def kept(self, owner: str) -> Sequence[Approval]:
        with self._lock:
            return [each for each in self._all_kept() if each.asker.owner == owner]

    def remove(self, approvals: Iterable[Approval]) -> None:
        with self._lock:
            for approval in approvals:
                self._kept.pop(approval.id, None)

    def delete_all(self, owner: str) -> int:
        with self._lock:
            tables: tuple[dict[str, Any], ...] = (self._pending, self._decided, self._kept)
            owned = [
                (table, id_)
                for table in tables
                for id_, (approval, _) in table.items()
                if approval.asker.owner == owner
            ]
            for table, id_ in owned:
                del table[id_]
        return len(owned)

    def forget(self, id_: str) -> None:
        """Do nothing: an approval is forgotten with its decision."""

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _all_kept(self) -> Iterator[Approval]:
        return (approval for id_ in self._kept if (approval := self._find_kept(id_)))

    def _find_kept(self, id_: str) -> Approval | None:
        approval, until = self._kept.get(id_, (None, 0.0))
        return approval if until > self._clock() else None

    def _decide_kept(self, id_: str, decision: Decision) -> Approval | None:
        approval = self._find_kept(id_)
        if approval and approval.decision is None:
            approval = replace(approval, decision=decision)
            self._kept[id_] = approval, self._kept[id_][1]
        return approval

    def _find_decided(self, id_: str) -> Approval | None:
        oldest = self._clock() - KEPT_SECONDS
        approval, since = self._decided.get(id_, (None, 0.0))
        return approval if since > oldest else None
