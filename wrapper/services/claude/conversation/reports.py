"""What Claude Code reports beside the model's answer: its own message, retries, and limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wrapper.errors import ApiError, RateLimited
from wrapper.services.claude.errors.engine_errors import error_of
from wrapper.services.claude.errors.no_first_event import Silence
from wrapper.services.provider_limits import ProviderLimits


@dataclass
class Reports:
    """The reports of one turn. *clock* returns the time in Unix seconds.

    `begun` says that Claude Code has begun the turn. `retry` is its last raw api_retry message.
    """

    clock: Callable[[], float]
    notice: str = ""
    begun: bool = False
    retry: dict[str, Any] | None = None
    limits: ProviderLimits | None = None

    def error(self, result: dict[str, Any], *, gave_up: bool) -> ApiError:
        """Return the error that a failed turn's raw *result* means.

        If a limit of the provider is used up, the error says when it resets. *gave_up* says that
        Claude Code did not retry, although it should have.
        """
        error = error_of(result, self.notice, gave_up=gave_up and self.retry is None)
        limits = self.limits
        if not isinstance(error, RateLimited) or limits is None or limits.resets_at is None:
            return error
        if limits.status != "rejected":
            return error
        return error.replace(retry_after=max(1, math.ceil(limits.resets_at - self.clock())))

    def silence(self, *, configured: bool, connects: bool, hooks: bool) -> Silence:
        """Return what the turn has waited for, if its model has not begun to answer."""
        status = (self.retry or {}).get("error_status")
        return Silence(
            configured=configured,
            begun=self.begun,
            retried=self.retry is not None,
            status=status if isinstance(status, int) else None,
            used_up=self.limits is not None and self.limits.status == "rejected",
            connects=connects,
            hooks=hooks,
        )
