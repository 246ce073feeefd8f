"""The metrics in the format of Prometheus, if its library is installed."""

from __future__ import annotations

from wrapper.prometheus.library import SHARED, forget, installed
from wrapper.prometheus.metrics import PrometheusMetrics, open_metrics

__all__ = ["SHARED", "PrometheusMetrics", "forget", "installed", "open_metrics"]
