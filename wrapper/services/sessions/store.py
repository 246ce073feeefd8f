"""The session store: what keeps sessions, for one worker or for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from wrapper.services.sessions.session import Session, SessionInfo


class Claim(Protocol):
    """The right to a session's next turn, which one caller at a time has. It must be released.

    `session` is what is remembered, None where there is none yet. It is never evicted meanwhile,
    and does not expire.
    """

    @property
    def session(self) -> Session | None: ...

    def save(self, session: Session) -> None:
        """Remember *session* in place of what was; its life begins anew.

        Raises Conflict where the session was deleted meanwhile or the claim was lost.
        """
        ...

    def release(self) -> None:
        """Let the next turn have it, with a new life; releasing twice is harmless."""
        ...


class SessionStore(Protocol):
    """Keeps sessions by owner and id, each until a while after its last turn.

    A turn that claims it uses a session; to read it does not. Nothing that is handed out can be
    changed. Everything raises Unavailable where the store cannot be reached.
    """

    def claim(self, owner: str, id_: str, seconds: float) -> Claim | None:
        """Return the claim to a session's next turn, or None where *seconds* were not enough."""
        ...

    def read(self, owner: str, id_: str) -> Session | None: ...

    def heads(self, owner: str) -> Sequence[SessionInfo]:
        """Return all that *owner* has, in the order in which they were created."""
        ...

    def delete(self, owner: str, id_: str) -> SessionInfo | None:
        """Forget a session, also one whose turn is under way; return what it was."""
        ...

    def health(self) -> dict[str, Any]:
        """Return `status` (ok or failing) and its `error`, without waiting."""
        ...

    def close(self) -> None: ...
