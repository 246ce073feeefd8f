"""A request for places: who sends it, how many turns it runs, and what has become of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wrapper.errors import ApiError, TurnStopped
from wrapper.services.principal import Caller, LimitHolder

# Whether its requests run in the background, and the caller's name.
QueueName = tuple[bool, str]


@dataclass(eq=False)
class PlaceRequest:
    """A request that waits for places for its *turns*, or has them."""

    turns: int
    caller: Caller
    entered: float
    number: int = field(default_factory=itertools.count(1).__next__)
    decided: threading.Event = field(default_factory=threading.Event)
    since: float = 0.0  # when it was admitted
    refusal: ApiError | None = None
    stopped: TurnStopped | None = None
    activity: Callable[[], str] = lambda: ""
    admitted: Callable[[], None] = lambda: None  # called when it is, under the places' lock

    @property
    def queue(self) -> QueueName:
        return self.caller.background, self.caller.principal.name

    @property
    def user_id(self) -> str:
        """Return the id of the user below the key, or "" where no limit is theirs."""
        return self.caller.user.user if self.caller.user else ""

    def is_of(self, holder: LimitHolder) -> bool:
        """Say whether the request counts against the limits of *holder*."""
        return self.caller.principal.name == holder.name and holder.user in ("", self.user_id)


def total_turns(requests: Iterable[PlaceRequest]) -> int:
    return sum(request.turns for request in requests)
