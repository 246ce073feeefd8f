"""The metrics: what Prometheus may read, where its library is installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any

from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.telemetry.timing import Timing
from wrapper.services.usage.store import NANOS, Amounts

# Where the library lets several processes keep their numbers together, if it is set when the
# library is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
REFRESH_SECONDS = 5.0
PREFIX = "claude_gateway"
BUCKETS = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
PARTS = {
    "queue": "Seconds that a request waited for a place.",
    "lease": "Seconds until a turn had a process: a warm, cold, parked or recycled one.",
    "configure": "Seconds until that process knew all it must.",
    "first_token": "Seconds from a request's beginning until the model began to answer.",
    "total": "Seconds from a request's beginning until its end.",
}
KINDS = ("input", "cache_read", "cache_creation", "output", "reasoning")
OTHER = "other"


def installed() -> bool:
    """Say whether there can be metrics; the library is not imported for that."""
    return importlib.util.find_spec("prometheus_client") is not None


def forget(pid: int) -> None:
    """Drop what a process that has ended had just then; what it has counted stays."""
    if SHARED in os.environ and installed():
        importlib.import_module("prometheus_client.multiprocess").mark_process_dead(pid)


class PrometheusMetrics:
    """A meter whose numbers can be read, as a text of `content_type`.

    *look* returns the gateway's health, without waiting. *models* returns the names that may stand
    in what is read: others may be a caller's, and any number.
    """

    def __init__(
        self, look: Callable[[], dict[str, Any]], models: Callable[[], Collection[str]]
    ) -> None:
        self._look = look
        self._models = models
        self._client = importlib.import_module("prometheus_client")
        self.content_type = str(self._client.CONTENT_TYPE_LATEST)
        self._registry = self._client.CollectorRegistry()
        self._times = {part: self._histogram(part) for part in PARTS}
        self._errors = self._counter("errors", "Requests that failed, by code.", "code")
        self._requests = self._counter("upstream_requests", "Requests to the model's API.")
        self._tokens = self._counter(
            "tokens", "Tokens; those of output include reasoning.", "model", "kind"
        )
        self._dollars = self._counter("cost_dollars", "What Claude Code said it cost.", "model")
        self._ready = self._gauge("processes_ready", "Warm processes.", "profile")
        self._booting = self._gauge("processes_booting", "Processes that start.", "profile")
        self._parked = self._gauge("processes_parked", "Processes that wait for a further turn.")
        self._running = self._gauge("turns_running", "Turns that run.")
        self._waiting = self._gauge("requests_waiting", "Requests that wait for a place.")
        self._places = self._gauge("places", "Turns that may run at once.")
        self._janitor = PeriodicTask(self.refresh, REFRESH_SECONDS)

    def start(self) -> None:
        """Keep what can change by itself fresh, where another process may be the one that tells."""
        if SHARED in os.environ:
            self.refresh()
            self._janitor.start()

    def close(self) -> None:
        self._janitor.close()

    def timed(self, profile: str, timing: Timing) -> None:
        for part, seconds in timing.parts().items():
            labels = (profile, timing.source) if part == "lease" else (profile,)
            self._times[part].labels(*labels).observe(seconds)

    def failed(self, code: str) -> None:
        self._errors.labels(code=code).inc()

    def asked(self, requests: int) -> None:
        self._requests.inc(requests)

    def spent(self, model: str, amounts: Amounts) -> None:
        name = model if model in self._models() else OTHER
        told = asdict(amounts)
        for kind in KINDS:
            self._tokens.labels(model=name, kind=kind).inc(max(0, told[kind]))
        self._dollars.labels(model=name).inc(max(0, amounts.nanos) / NANOS)

    def refresh(self) -> None:
        """Look how things are now."""
        health = self._look()
        for profile, pool in health.get("pools", {}).items():
            self._ready.labels(profile=profile).set(pool["ready"])
            self._booting.labels(profile=profile).set(pool["booting"])
        self._parked.set(health.get("parked", 0))
        turns = health["turns"]
        self._running.set(turns["running"])
        self._waiting.set(turns["waiting"])
        self._places.set(turns["places"])

    def read(self) -> bytes:
        """Return all numbers as Prometheus reads them, of all processes that share them."""
        self.refresh()
        registry = self._registry
        if SHARED in os.environ:
            registry = self._client.CollectorRegistry()
            module = importlib.import_module("prometheus_client.multiprocess")
            module.MultiProcessCollector(registry)
        return bytes(self._client.generate_latest(registry))

    def _histogram(self, part: str) -> Any:
        labels = ("profile", "source") if part == "lease" else ("profile",)
        name = f"{PREFIX}_{part}_seconds"
        histogram = self._client.Histogram
        return histogram(name, PARTS[part], labels, buckets=BUCKETS, registry=self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Any:
        return self._client.Counter(f"{PREFIX}_{name}", meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Any:
        return self._client.Gauge(
            f"{PREFIX}_{name}",
            meaning,
            labels,
            registry=self._registry,
            multiprocess_mode="livesum",
        )
