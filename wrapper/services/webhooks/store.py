"""The protocol of the stores of deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from wrapper.services.webhooks.event import Delivery

# The longest time in which the same occurrence, such as a month's budget, may be announced again.
KEEP_SECONDS = 40 * 86400.0
MOST_OF_RECIPIENT = 10_000


class DeliveryStore(Protocol):
    """Keeps deliveries for KEEP_SECONDS, and of each recipient only the newest ones.

    Threads and processes may share it. All methods may raise StoreFailed.
    """

    def add(self, deliveries: Sequence[Delivery], oldest: float) -> None:
        """Add those *deliveries* that are new, and remove those from before *oldest*."""
        ...

    def due(self) -> Mapping[str, float]:
        """Return when the next delivery of each recipient that has any is due."""
        ...

    def claim(self, recipient: str, now: float, until: float, limit: int) -> list[Delivery]:
        """Return deliveries that are due, each with a lease *until* then and one attempt more."""
        ...

    def record(self, delivery: Delivery) -> None:
        """Record what has become of a claimed delivery, unless its lease has passed to another."""
        ...

    def find(self, recipient: str | None, after: str, limit: int) -> list[Delivery]:
        """Return the newest deliveries to *recipient* or to all, those before the one *after*.

        Raises KeyError if there is none with the id *after*, unless that is empty.
        """
        ...

    def delete_all(self, recipient: str) -> int:
        """Delete all deliveries to *recipient*, and return how many there were."""
        ...

    def close(self) -> None: ...
