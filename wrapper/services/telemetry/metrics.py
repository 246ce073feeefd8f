"""The meter: what is counted of all requests together, for whoever looks from outside."""

from __future__ import annotations

from typing import Protocol

from wrapper.services.telemetry.timing import Timing
from wrapper.services.usage.store import Amounts


class Metrics(Protocol):
    """Is told of each request when it is over, in any thread. Nothing of it tells who asked."""

    def timed(self, profile: str, timing: Timing) -> None:
        """Count what a request's parts took."""
        ...

    def failed(self, code: str) -> None:
        """Count a request that was refused, or ended so, by what its client was told."""
        ...

    def asked(self, requests: int) -> None:
        """Count requests to the model's API."""
        ...

    def spent(self, model: str, amounts: Amounts) -> None:
        """Count what a model has used, as far as Claude Code has told it."""
        ...


class NullMetrics:
    """A meter that nobody looks at."""

    def timed(self, profile: str, timing: Timing) -> None: ...

    def failed(self, code: str) -> None: ...

    def asked(self, requests: int) -> None: ...

    def spent(self, model: str, amounts: Amounts) -> None: ...
