"""The limits that a request has to pass."""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.services.limits.admission import Admission
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.rate_limits import RateLimits
from wrapper.services.principal import Caller, LimitHolder
from wrapper.services.usage.ledger import Ledger


@dataclass(frozen=True)
class Limits:
    """How many turns run at once, how often a key may ask, what it may ask for, and its budget."""

    admission: Admission
    rates: RateLimits
    policy: Policy
    ledger: Ledger

    def admit(self, holder: LimitHolder, *, may_repeat: bool) -> None:
        """Count a request of *holder*, and check its budget unless the request may be a repetition.

        Raises RateLimited, QuotaExceeded or Unavailable.
        """
        self.rates.admit(holder)
        if not may_repeat:
            self.ledger.check(holder)

    def check_budgets(self, caller: Caller) -> None:
        """Raise QuotaExceeded or Unavailable if the caller may not begin a turn now."""
        for holder in caller.holders:
            self.ledger.check(holder)
