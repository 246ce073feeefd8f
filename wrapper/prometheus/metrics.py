"""The gateway's metrics, counted for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any

from wrapper.prometheus.counters import EventCounters, ModelCounters, ToolCounters, TurnCounters
from wrapper.prometheus.gauges import ProcessGauges, ProviderGauges, TurnGauges
from wrapper.prometheus.library import SHARED, installed
from wrapper.prometheus.registry import Registry
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.catalog import Catalog
from wrapper.services.provider_limits import ProviderLimits
from wrapper.services.telemetry.timing import Timing
from wrapper.services.tools.mcp import PREFIX as MCP_PREFIX
from wrapper.services.usage.store import NANOS, Amounts
from wrapper.settings import TOOLS

REFRESH_SECONDS = 5.0
TOKEN_KINDS = ("input", "cache_read", "cache_creation", "output", "reasoning")
OTHER = "other"
MCP = "mcp"


class PrometheusMetrics:
    """Metrics as a text for Prometheus.

    *health* returns the gateway's health without waiting. *models* returns the names that may be
    labels. Others count as "other": a caller may choose any number of them. *cli_version* returns
    the version of Claude Code, or "" while it is unknown.
    """

    def __init__(
        self,
        health: Callable[[], dict[str, Any]],
        models: Callable[[], Collection[str]],
        cli_version: Callable[[], str],
    ) -> None:
        self._health = health
        self._models = models
        self._registry = registry = Registry(cli_version)
        self._turns = TurnCounters(registry)
        self._usage = ModelCounters(registry)
        self._tools = ToolCounters(registry)
        self._events = EventCounters(registry)
        self._limits = ProviderGauges(registry)
        self._state = (ProcessGauges(registry), TurnGauges(registry))
        self._refreshing = PeriodicTask(self.refresh, REFRESH_SECONDS)

    @property
    def content_type(self) -> str:
        """Return the content type of that text."""
        return self._registry.content_type

    def start(self) -> None:
        """Keep the gauges fresh if processes share their numbers: any of them may be read."""
        if SHARED in os.environ:
            self.refresh()
            self._refreshing.start()

    def close(self) -> None:
        self._refreshing.close()

    def timed(self, profile: str, timing: Timing) -> None:
        for phase, seconds in timing.parts().items():
            labels = (profile, timing.source) if phase == "lease" else (profile,)
            self._turns.seconds(phase, *labels).observe(seconds)

    def failed(self, code: str) -> None:
        self._turns.errors.labels(code=code).inc()

    def asked(self, requests: int) -> None:
        self._turns.requests.inc(requests)

    def fell_back(self, model: str) -> None:
        self._usage.fallbacks.labels(model=self._known(model)).inc()

    def budget_reached(self, budget: str, percent: int) -> None:
        self._events.budgets.labels(budget=budget, percent=percent).inc()

    def spent(self, model: str, amounts: Amounts) -> None:
        name = self._known(model)
        counts = asdict(amounts)
        for kind in TOKEN_KINDS:
            self._usage.tokens.labels(model=name, kind=kind).inc(max(0, counts[kind]))
        self._usage.dollars.labels(model=name).inc(max(0, amounts.nanos) / NANOS)

    def used_tool(self, name: str, outcome: str, seconds: float) -> None:
        # MCP servers choose the names of their tools, and a model may name any tool.
        named = name if name in TOOLS else OTHER
        tool = MCP if name.startswith(MCP_PREFIX) else named
        self._tools.uses.labels(tool=tool, outcome=outcome).inc()
        self._tools.seconds.labels(tool=tool).inc(seconds)

    def decided(self, outcome: str) -> None:
        self._tools.approvals.labels(decision=outcome).inc()

    def posted(self, type_: str, outcome: str) -> None:
        self._events.webhooks.labels(type=type_, outcome=outcome).inc()

    def job_ended(self, kind: str, status: str) -> None:
        self._events.jobs.labels(kind=kind, status=status).inc()

    def limited(self, limits: ProviderLimits) -> None:
        self._limits.set(limits)

    def _known(self, model: str) -> str:
        return model if model in self._models() else OTHER

    def refresh(self) -> None:
        """Set the gauges from the gateway's health."""
        health = self._health()
        for gauges in self._state:
            gauges.set(health)

    def read(self) -> bytes:
        """Return the text of all numbers, of all processes that share them."""
        self.refresh()
        return self._registry.text()


def open_metrics(
    health: Callable[[], dict[str, Any]], catalog: Catalog, cli_version: Callable[[], str]
) -> PrometheusMetrics | None:
    """Return the metrics, or None if the library is not installed."""

    def known_models() -> set[str]:
        """Return the models' names that no caller has made up."""
        return {name for model in catalog.models() for name in (model.id, model.runs)}

    return PrometheusMetrics(health, known_models, cli_version) if installed() else None
