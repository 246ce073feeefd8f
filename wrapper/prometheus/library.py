"""Prometheus' library, which may be absent, and numbers that processes share."""

from __future__ import annotations

import importlib.util
import os

# The library's own variable: the directory in which several processes share their numbers. It
# takes effect if it is set when the library is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


def installed() -> bool:
    """Return whether the library is installed, without importing it."""
    return importlib.util.find_spec("prometheus_client") is not None


def forget(pid: int) -> None:
    """Drop the gauges of a process that has ended; its counters stay."""
    if SHARED in os.environ and installed():
        importlib.import_module("prometheus_client.multiprocess").mark_process_dead(pid)
