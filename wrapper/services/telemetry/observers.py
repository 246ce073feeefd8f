"""Who learns about requests: metrics, statistics, history, traces, and the app around."""

from __future__ import annotations

from dataclasses import dataclass, field

from wrapper.services.events import LimitsReported
from wrapper.services.requests.history import RequestHistory
from wrapper.services.telemetry.metrics import Metrics
from wrapper.services.telemetry.signals import Signals
from wrapper.services.telemetry.traces import NullTraces, Traces
from wrapper.services.turn import Turn
from wrapper.services.usage.login_limits import LoginLimits
from wrapper.services.usage.tool_stats import ToolStats


@dataclass(frozen=True)
class Observers:
    """Metrics, statistics, history, traces, and the `sender` in whose name signals are sent."""

    metrics: Metrics
    tool_stats: ToolStats
    login_limits: LoginLimits
    history: RequestHistory | None = None
    sender: object = None
    traces: Traces = field(default_factory=NullTraces)

    def limits_reported(self, report: LimitsReported) -> None:
        """Keep what the provider says about its limits, and show it in the metrics."""
        self.login_limits.learn(report)
        self.metrics.limited(report.limits)

    def signals(self, turn: Turn, request_id: str) -> Signals:
        """Return the signals about a request for *turn*."""
        return Signals(self.sender, turn, request_id)
