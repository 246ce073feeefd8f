"""Attempts: what follows from the result of one, and when the next one may begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from wrapper.services.webhooks.event import Delivery

# The delays double up to the longest one.
FIRST_DELAY, LONGEST_DELAY = 1.0, 6 * 3600.0
MOST_ATTEMPTS = 30
GIVE_UP_SECONDS = 3 * 86400.0
NO_ENDPOINT = "the key or its webhook_url is gone"


@dataclass(frozen=True)
class Result:
    """The status of the receiver's answer, or why there is none."""

    status: int | None = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def concluded(
    delivery: Delivery, result: Result, now: float, chance: Callable[[], float]
) -> Delivery:
    """Return *delivery* after an attempt. *chance* returns a number from 0 to 1."""
    error = None if result.accepted else result.error or f"it answered with {result.status}"
    delivery = replace(delivery, last_status=result.status, last_error=error)
    if result.accepted:
        return replace(delivery, status="delivered", due=None, body="")
    due = now + delay(delivery.attempts, chance())
    if delivery.attempts >= MOST_ATTEMPTS or due > delivery.created + GIVE_UP_SECONDS:
        return given_up(delivery)
    return replace(delivery, due=due)


def given_up(delivery: Delivery, error: str | None = None) -> Delivery:
    """Return *delivery* without a further attempt."""
    error = error or delivery.last_error
    return replace(delivery, status="failed", due=None, body="", last_error=error)


def delay(attempts: int, chance: float) -> float:
    """Return the seconds after so many *attempts*: twice as many each time, or half of that.

    Chance spreads the attempts of events that have failed together.
    """
    return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempts - 1))) * (1 + chance) / 2
