"""The protocol of the stores of finished requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wrapper.services.requests.request import FinishedRequest, Latency, RequestQuery
from wrapper.services.usage.store import Amounts

# A store keeps the last so many requests. One takes about half a kilobyte.
MAX_REQUESTS = 50_000


class RequestStore(Protocol):
    """Keeps requests. Threads and processes may share it. All methods may raise StoreFailed."""

    def append(self, requests: Sequence[FinishedRequest], oldest: float) -> None:
        """Add *requests*, and remove those from before *oldest*, in Unix seconds, and surplus."""
        ...

    def find(self, query: RequestQuery, before: str, limit: int) -> list[FinishedRequest]:
        """Return the last requests that match and have a position *before* that, or any if empty.

        The last one comes first.
        """
        ...

    def total(self, query: RequestQuery) -> tuple[int, Amounts]:
        """Return the number of all requests that match, and what they used together."""
        ...

    def latencies(self, query: RequestQuery) -> list[Latency]:
        """Return the latencies of those requests that match and were answered, in any order."""
        ...

    def delete_all(self, key: str) -> int:
        """Delete all requests of *key*, and return how many there were."""
        ...

    def close(self) -> None: ...
