"""The protocol of metrics, which count over all requests."""

from __future__ import annotations

from typing import Protocol

from wrapper.services.provider_limits import ProviderLimits
from wrapper.services.telemetry.timing import Timing
from wrapper.services.usage.store import Amounts


class Metrics(Protocol):
    """Counts finished requests, in any thread. No number shows who sent a request."""

    def timed(self, profile: str, timing: Timing) -> None:
        """Count the seconds that the parts of a request took."""
        ...

    def failed(self, code: str) -> None:
        """Count a request that failed, by the *code* that the client got."""
        ...

    def asked(self, requests: int) -> None:
        """Count requests to the model's API."""
        ...

    def spent(self, model: str, amounts: Amounts) -> None:
        """Count what a model has used, where Claude Code has reported it."""
        ...

    def fell_back(self, model: str) -> None:
        """Count a turn that another model answered because *model* failed."""
        ...

    def budget_reached(self, budget: str, percent: int) -> None:
        """Count that *percent* of a budget of this name are spent."""
        ...

    def used_tool(self, name: str, outcome: str, seconds: float) -> None:
        """Count a use of an agent's tool, which was done, failed or denied."""
        ...

    def decided(self, outcome: str) -> None:
        """Count an approval that waits no longer, by how it ended."""
        ...

    def posted(self, type_: str, outcome: str) -> None:
        """Count an attempt to deliver an event, which was delivered, retried, failed or dropped."""
        ...

    def job_ended(self, kind: str, status: str) -> None:
        """Count a job that has ended."""
        ...

    def limited(self, limits: ProviderLimits) -> None:
        """Show how much of the provider's limits is used."""
        ...


class NullMetrics:
    """Metrics that count nothing."""

    def timed(self, profile: str, timing: Timing) -> None: ...

    def failed(self, code: str) -> None: ...

    def asked(self, requests: int) -> None: ...

    def spent(self, model: str, amounts: Amounts) -> None: ...

    def fell_back(self, model: str) -> None: ...

    def budget_reached(self, budget: str, percent: int) -> None: ...

    def used_tool(self, name: str, outcome: str, seconds: float) -> None: ...

    def decided(self, outcome: str) -> None: ...

    def posted(self, type_: str, outcome: str) -> None: ...

    def job_ended(self, kind: str, status: str) -> None: ...

    def limited(self, limits: ProviderLimits) -> None: ...
