"""The protocol of session stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from wrapper.services.listing import Key
from wrapper.services.sessions.session import Session, SessionInfo


class Claim(Protocol):
    """A lock for a session's next turn. It must be released.

    `session` is the stored session, or None where there is none yet. It is not evicted and does not
    expire while it is claimed.
    """

    @property
    def session(self) -> Session | None: ...

    def save(self, session: Session) -> None:
        """Store *session* in place of the last one, and restart its time to live.

        Raises Conflict where the session was deleted meanwhile or the claim was lost.
        """
        ...

    def release(self) -> None:
        """Unlock the session and restart its time to live. Releasing twice is harmless."""
        ...


class SessionStore(Protocol):
    """Keeps sessions by owner and id, each for a time to live after its last turn.

    Claiming a session counts as use, reading does not. Everything that a store returns is
    immutable. All methods raise Unavailable where the store cannot be reached.
    """

    def claim(self, owner: str, id_: str, seconds: float) -> Claim | None:
        """Claim a session's next turn. Return None where another turn held it for *seconds*."""
        ...

    def read(self, owner: str, id_: str) -> Session | None: ...

    def heads(self, owner: str) -> Sequence[SessionInfo]:
        """Return all sessions of *owner*, the oldest first."""
        ...

    def delete(self, owner: str, id_: str) -> SessionInfo | None:
        """Delete a session, even while a turn of it runs, and return what it was."""
        ...

    def health(self) -> dict[str, Any]:
        """Return `status` (ok or failing) and its `error`, without waiting."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class ListsSessions(Protocol):
    """A SessionStore that can list the sessions of all owners. Turns do not wait for it."""

    def keys(self) -> Sequence[Key]:
        """Return owner and id of at most MOST_LISTED sessions, those used last first.

        Some of them may be gone.
        """
        ...

    def infos(self, keys: Sequence[Key]) -> Sequence[SessionInfo]:
        """Return the sessions of these *keys* that are stored, in the same order."""
        ...
