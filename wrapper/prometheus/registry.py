"""The registry: makes the library's metrics, and writes them as a text."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from wrapper.prometheus.library import SHARED
from wrapper.version import __version__

PREFIX = "claude_gateway"
BUCKETS = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
# The metrics of all gateways of this process, by the directory in which processes share numbers and
# by name: two metrics of one name would overwrite each other's numbers there.
_shared: dict[tuple[str, str], Any] = {}


class Registry:
    """Makes the library's metrics in a registry of its own, so that gateways count apart.

    Where processes share their numbers, the gateways of a process share their metrics, too. A gauge
    then has what one of them has set last.
    """

    def __init__(self, cli_version: Callable[[], str]) -> None:
        self._client = importlib.import_module("prometheus_client")
        self._cli_version = cli_version
        self._registry = self._client.CollectorRegistry()
        self.content_type = str(self._client.CONTENT_TYPE_LATEST)

    def histogram(self, name: str, meaning: str, *labels: str) -> Any:
        return self._metric("Histogram", name, meaning, labels, buckets=BUCKETS)

    def counter(self, name: str, meaning: str, *labels: str) -> Any:
        return self._metric("Counter", name, meaning, labels)

    def gauge(self, name: str, meaning: str, *labels: str) -> Any:
        """Return a gauge whose values of several processes are added."""
        return self._metric("Gauge", name, meaning, labels, multiprocess_mode="livesum")

    def newest_gauge(self, name: str, meaning: str, *labels: str) -> Any:
        """Return a gauge for which the newest value of several processes counts."""
        return self._metric("Gauge", name, meaning, labels, multiprocess_mode="mostrecent")

    def _metric(
        self, kind: str, name: str, meaning: str, labels: Sequence[str], **options: Any
    ) -> Any:
        key = (os.environ.get(SHARED, ""), name)
        if metric := _shared.get(key):
            return metric
        make = getattr(self._client, kind)
        metric = make(f"{PREFIX}_{name}", meaning, labels, registry=self._registry, **options)
        if SHARED in os.environ:
            _shared[key] = metric
        return metric

    def text(self) -> bytes:
        """Return the text of all metrics, of all processes that share their numbers."""
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
