"""The limits that a request has to pass."""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.services.limits.admission import Admission
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.rate_limits import RateLimits
from wrapper.services.usage.ledger import Ledger


@dataclass(frozen=True)
class Limits:
    """How many turns run at once, how often a key may ask, what it may ask for, and its budget."""

    admission: Admission
    rates: RateLimits
    policy: Policy
    ledger: Ledger
