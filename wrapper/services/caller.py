"""The caller: who waits for an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wrapper.services.principal import LOCAL, Principal


@dataclass(frozen=True)
class Caller:
    """Who waits for an answer, under which id, and whether they have `gone`.

    `attempt` is their own name of the request, and `again` says that they have sent it before.
    `admitted` says that the request is counted against its rate already.
    """

    principal: Principal = LOCAL
    request_id: str = ""
    gone: Callable[[], bool] = lambda: False
    attempt: str = ""
    again: bool = False
    admitted: bool = False

    @property
    def may_repeat(self) -> bool:
        """Say whether the request may be one that was answered before."""
        return self.again or bool(self.attempt)
