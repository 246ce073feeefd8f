"""The memory store: approvals of one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from wrapper.services.approvals.approval import Approval, Decision
from wrapper.services.approvals.store import KEPT_SECONDS, Notify, Room

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

    def add(self, approval: Approval, notify: Notify) -> None:
        owner = approval.asker.owner
        with self._lock:
            own = sum(each.asker.owner == owner for each, _ in self._pending.values())
            self._room.check(len(self._pending), own)
            self._pending[approval.id] = approval, notify

    def decide(self, id_: str, decision: Decision) -> Approval | None:
        with self._lock:
            if id_ not in self._pending:
                return self._find_decided(id_)
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
            return pending[0] if pending else self._find_decided(id_)

    def pending(self, owner: str | None) -> Sequence[Approval]:
        with self._lock:
            approvals = [approval for approval, _ in self._pending.values()]
        return [each for each in approvals if owner in (None, each.asker.owner)]

    def forget(self, id_: str) -> None:
        """Do nothing: an approval is forgotten with its decision."""

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _find_decided(self, id_: str) -> Approval | None:
        oldest = self._clock() - KEPT_SECONDS
        approval, since = self._decided.get(id_, (None, 0.0))
        return approval if since > oldest else None
