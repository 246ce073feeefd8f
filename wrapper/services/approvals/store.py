"""The protocol of approval stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from wrapper.services.approvals.approval import Approval, Decision

# How long a decided approval can still be read, and a second decision is refused as such.
KEPT_SECONDS = 300.0
# How many approvals that no turn waits for are kept in all, and of each key: the latest ones.
MOST_KEPT = 1000
MOST_KEPT_OF_KEY = 100

Notify = Callable[[Decision], None]


class TooManyApprovals(Exception):
    """Raised when too many approvals wait; the text says whose."""


class ApprovalStore(Protocol):
    """Keeps approvals until some time after their decision, which is made once.

    A turn waits for those that `add` adds, and none for those that `keep` keeps.

    All methods but `close` raise Unavailable where the store cannot be reached.
    """

    def add(self, approval: Approval, notify: Notify) -> None:
        """Keep a pending approval, and call *notify* in any thread once it is decided.

        Raises TooManyApprovals.
        """
        ...

    def decide(self, id_: str, decision: Decision) -> Approval | None:
        """Return the approval, with *decision* or the one that came before; None if unknown."""
        ...

    def read(self, id_: str) -> Approval | None: ...

    def pending(self, owner: str | None) -> Sequence[Approval]:
        """Return the pending approvals of *owner*, or all of them, the oldest first.

        Some of those that are kept may have expired.
        """
        ...

    def keep(self, approval: Approval, seconds: float) -> None:
        """Keep an approval that no turn waits for, and its decision, for *seconds*.

        The oldest ones are dropped where there are more than MOST_KEPT or MOST_KEPT_OF_KEY.
        """
        ...

    def kept(self, owner: str) -> Sequence[Approval]:
        """Return what is kept of *owner*, the oldest first, with what was decided."""
        ...

    def remove(self, approvals: Iterable[Approval]) -> None:
        """Keep these no longer."""
        ...

    def delete_all(self, owner: str) -> int:
        """Delete all approvals of *owner*, also decided ones, and return how many there were."""
        ...

    def forget(self, id_: str) -> None:
        """Call no *notify* for this approval any more. Raises nothing."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Room:
    """How many approvals may wait in all, and of each key."""

    most: int
    most_of_key: int

    def check(self, waiting: int, own: int) -> None:
        """Raise TooManyApprovals if *waiting* in all, or *own* ones of the key, are enough."""
        if own >= self.most_of_key:
            raise TooManyApprovals(
                f"{own} approvals of this key wait already (MAX_APPROVALS_OF_KEY)"
            )
        if waiting >= self.most:
            raise TooManyApprovals(f"{waiting} approvals wait already (MAX_APPROVALS)")
