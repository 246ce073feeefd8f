"""The engine: what the gateway needs of anything that runs turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from wrapper.services.attachments.images import ImageInfo
from wrapper.services.catalog import Model
from wrapper.services.events import Event
from wrapper.services.turn import SessionKey, Turn


class Runner(Protocol):
    """Runs turns."""

    def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events, Started first and Ended last, or raise an ApiError.

        Used comes whenever more is known, for the last time before Ended or the error. Once
        *leaving* is set nobody waits for the answer: the turn must report its usage and end soon.
        Closing the generator ends the turn at once and leaves nothing of it running.
        """
        ...


class Engine(Runner, Protocol):
    """Runs turns once it is started and until it is closed. Both may be called more than once.

    An engine that runs turns with a `body` says so with an attribute `takes_bodies = True`.
    """

    def start(self) -> None: ...

    def health(self) -> dict[str, Any]:
        """Return `status` (ok, starting, degraded, failing) and its reasons, without waiting."""
        ...

    def models(self) -> Sequence[Model]:
        """Return the models that the engine reports, without waiting."""
        ...

    def shrinks(self, picture: ImageInfo, model: str, profile: str) -> bool:
        """Say whether *picture* is scaled down before *model*, given by its full id, gets it."""
        ...

    def parked(self) -> Sequence[SessionKey]:
        """Return the sessions whose next turn can continue a kept one, without waiting."""
        ...

    def forget(self, session: SessionKey) -> None:
        """Drop everything that is kept for a deleted session, in the background."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return `method`, `reason`, `ready`, `missing`, `cli` and `account`; may take seconds.

        `missing` says what is missing and how to mend it. Nothing in it is secret or personal.
        """
        ...

    def close(self) -> None: ...


def takes_bodies(engine: Engine) -> bool:
    """Say whether *engine* runs turns with a `body`. Most engines need not know of them."""
    return bool(getattr(engine, "takes_bodies", False))
