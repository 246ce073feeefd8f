"""The metrics in the format of Prometheus, if its library is installed."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.provider_limits import ProviderLimits
from wrapper.services.telemetry.timing import Timing
from wrapper.services.tools.mcp import PREFIX as MCP_PREFIX
from wrapper.services.usage.store import NANOS, Amounts
from wrapper.settings import TOOLS
from wrapper.version import __version__

# The library's own variable: the directory in which several processes share their numbers. It
# takes effect if it is set when the library is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
REFRESH_SECONDS = 5.0
PREFIX = "claude_gateway"
BUCKETS = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
PHASES = {
    "queue": "Seconds that a request waited until its turn could run.",
    "lease": "Seconds until a turn had a process: a warm, cold, parked or recycled one.",
    "configure": "Seconds until that process was configured for the turn.",
    "first_token": "Seconds from a request's beginning until the model began to answer.",
    "total": "Seconds from a request's beginning until its end.",
}
TOKEN_KINDS = ("input", "cache_read", "cache_creation", "output", "reasoning")
# Those that Claude Code knows.
WINDOWS = (
    *("five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet"),
    "seven_day_overage_included",
)
OTHER = "other"
MCP = "mcp"


def installed() -> bool:
    """Return whether the library is installed, without importing it."""
    return importlib.util.find_spec("prometheus_client") is not None


def forget(pid: int) -> None:
    """Drop the gauges of a process that has ended; its counters stay."""
    if SHARED in os.environ and installed():
        importlib.import_module("prometheus_client.multiprocess").mark_process_dead(pid)


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
        self._registry = registry = _Registry(cli_version)
        self._seconds = {phase: _histogram(registry, phase) for phase in PHASES}
        self._errors = registry.counter("errors", "Requests that failed, by code.", "code")
        self._requests = registry.counter("upstream_requests", "Requests to the model's API.")
        self._tokens = registry.counter(
            "tokens", "Tokens; those of output include reasoning.", "model", "kind"
        )
        self._dollars = registry.counter("cost_dollars", "Cost as Claude Code reports it.", "model")
        self._fallbacks = registry.counter(
            "fallbacks", "Turns that another model answered, by the model that failed.", "model"
        )
        self._budgets = registry.counter(
            "budget_thresholds",
            "Budgets of which a percentage is spent, by the limit's name.",
            "budget",
            "percent",
        )
        self._tool_uses = registry.counter(
            "tool_uses", "Uses of agents' tools, by outcome.", "tool", "outcome"
        )
        self._tool_seconds = registry.counter(
            "tool_seconds", "Seconds that agents' tools took.", "tool"
        )
        self._approvals = registry.counter(
            "approvals", "Tools that waited for approval, by how that ended.", "decision"
        )
        self._webhooks = registry.counter(
            "webhooks",
            "Attempts to deliver events: delivered, retried, failed (given up), or dropped unsent.",
            *("type", "outcome"),
        )
        self._jobs = registry.counter("jobs_ended", "Jobs that have ended.", "kind", "status")
        self._limits = _ProviderGauges(registry)
        self._gauges = _Gauges(registry)
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
            self._seconds[phase].labels(*labels).observe(seconds)

    def failed(self, code: str) -> None:
        self._errors.labels(code=code).inc()

    def asked(self, requests: int) -> None:
        self._requests.inc(requests)

    def fell_back(self, model: str) -> None:
        self._fallbacks.labels(model=self._known(model)).inc()

    def budget_reached(self, budget: str, percent: int) -> None:
        self._budgets.labels(budget=budget, percent=percent).inc()

    def spent(self, model: str, amounts: Amounts) -> None:
        name = self._known(model)
        counts = asdict(amounts)
        for kind in TOKEN_KINDS:
            self._tokens.labels(model=name, kind=kind).inc(max(0, counts[kind]))
        self._dollars.labels(model=name).inc(max(0, amounts.nanos) / NANOS)

    def used_tool(self, name: str, outcome: str, seconds: float) -> None:
        # MCP servers choose the names of their tools, and a model may name any tool.
        named = name if name in TOOLS else OTHER
        tool = MCP if name.startswith(MCP_PREFIX) else named
        self._tool_uses.labels(tool=tool, outcome=outcome).inc()
        self._tool_seconds.labels(tool=tool).inc(seconds)

    def decided(self, outcome: str) -> None:
        self._approvals.labels(decision=outcome).inc()

    def posted(self, type_: str, outcome: str) -> None:
        self._webhooks.labels(type=type_, outcome=outcome).inc()

    def job_ended(self, kind: str, status: str) -> None:
        self._jobs.labels(kind=kind, status=status).inc()

    def limited(self, limits: ProviderLimits) -> None:
        self._limits.set(limits)

    def _known(self, model: str) -> str:
        return model if model in self._models() else OTHER

    def refresh(self) -> None:
        """Set the gauges from the gateway's health."""
        self._gauges.set(self._health())

    def read(self) -> bytes:
        """Return the text of all numbers, of all processes that share them."""
        self.refresh()
        return self._registry.text()


class _Gauges:
    """The state of processes and turns."""

    def __init__(self, registry: _Registry):
        gauge = registry.gauge
        self._ready = gauge("processes_ready", "Warm processes.", "profile")
        self._booting = gauge("processes_booting", "Processes that are starting.", "profile")
        self._parked = gauge("processes_parked", "Processes that wait for a further turn.")
        self._running = gauge("turns_running", "Turns that are running.")
        self._waiting = gauge("requests_waiting", "Requests that wait until a turn can run.")
        self._places = gauge("places", "Turns that may run at once.")
        self._approvals = gauge("approvals_pending", "Tools that wait for approval.")
        self._expires = registry.newest_gauge(
            "login_expires_seconds",
            "When the gateway's login ends, in Unix seconds; NaN if that is unknown.",
        )
        self._failed = gauge("failed_checks", "Checks that Claude Code fails.", "profile")
        # All processes see the same jobs.
        self._jobs = registry.newest_gauge(
            "jobs", "Jobs of all processes that have not ended.", "kind", "state"
        )

    def set(self, health: dict[str, Any]) -> None:
        for profile, pool in health.get("pools", {}).items():
            self._ready.labels(profile=profile).set(pool["ready"])
            self._booting.labels(profile=profile).set(pool["booting"])
        for profile, trial in health.get("trials", {}).items():
            self._failed.labels(profile=profile).set(len(trial["failed"]))
        end = health.get("login", {}).get("expires_at")
        self._expires.set(datetime.fromisoformat(end).timestamp() if end else math.nan)
        self._parked.set(health.get("parked", 0))
        turns = health["turns"]
        self._running.set(turns["running"])
        self._waiting.set(turns["waiting"])
        self._places.set(turns["places"])
        self._approvals.set(turns["approvals"])
        for state in ("waiting", "running"):
            for kind, number in health.get("jobs", {}).get(state, {}).items():
                self._jobs.labels(kind=kind, state=state).set(number)


class _ProviderGauges:
    """The provider's limits, as far as a process has heard of them."""

    def __init__(self, registry: _Registry):
        self._used = registry.newest_gauge(
            "provider_limit_used_ratio", "The part that is used of a limit.", "window"
        )
        self._resets = registry.newest_gauge(
            "provider_limit_reset_seconds", "When a limit resets, in Unix seconds.", "window"
        )

    def set(self, limits: ProviderLimits) -> None:
        for window in limits.windows:
            if window.name in WINDOWS and window.used is not None:
                self._used.labels(window=window.name).set(window.used)
            if window.name in WINDOWS and window.resets_at is not None:
                self._resets.labels(window=window.name).set(window.resets_at)


class _Registry:
    """Makes the library's metrics in a registry of its own, so that gateways count apart."""

    def __init__(self, cli_version: Callable[[], str]) -> None:
        self._client = importlib.import_module("prometheus_client")
        self._cli_version = cli_version
        self._registry = self._client.CollectorRegistry()
        self.content_type = str(self._client.CONTENT_TYPE_LATEST)

    def histogram(self, name: str, meaning: str, *labels: str) -> Any:
        return self._client.Histogram(
            f"{PREFIX}_{name}", meaning, labels, buckets=BUCKETS, registry=self._registry
        )

    def counter(self, name: str, meaning: str, *labels: str) -> Any:
        return self._client.Counter(f"{PREFIX}_{name}", meaning, labels, registry=self._registry)

    def gauge(self, name: str, meaning: str, *labels: str) -> Any:
        """Return a gauge whose values of several processes are added."""
        return self._gauge(name, meaning, labels, "livesum")

    def newest_gauge(self, name: str, meaning: str, *labels: str) -> Any:
        """Return a gauge for which the newest value of several processes counts."""
        return self._gauge(name, meaning, labels, "mostrecent")

    def _gauge(self, name: str, meaning: str, labels: Sequence[str], mode: str) -> Any:
        return self._client.Gauge(
            f"{PREFIX}_{name}",
            meaning,
            labels,
            registry=self._registry,
            multiprocess_mode=mode,
        )

    def text(self) -> bytes:
        registry = self._registry
        if SHARED in os.environ:
            registry = self._client.CollectorRegistry()
            multiprocess = importlib.import_module("prometheus_client.multiprocess")
            multiprocess.MultiProcessCollector(registry)
        return bytes(self._client.generate_latest(_Scrape(registry, self._build_info)))

    def _build_info(self) -> Any:
        info = importlib.import_module("prometheus_client.core").GaugeMetricFamily(
            f"{PREFIX}_build_info",
            "Always 1; the labels are the versions of the gateway and of Claude Code.",
            labels=("version", "cli_version"),
        )
        info.add_metric((__version__, self._cli_version()), 1)
        return info


class _Scrape:
    """Collects a registry's metrics and the build information, which changes with Claude Code.

    It leaves out the library's `_created` samples, which double the number of series. The
    library's own switch for them would also change the metrics of an app around the gateway.
    """

    def __init__(self, registry: Any, build_info: Callable[[], Any]) -> None:
        self._registry = registry
        self._build_info = build_info

    def collect(self) -> Iterator[Any]:
        yield self._build_info()
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric


def _histogram(registry: _Registry, phase: str) -> Any:
    labels = ("profile", "source") if phase == "lease" else ("profile",)
    return registry.histogram(f"{phase}_seconds", PHASES[phase], *labels)
