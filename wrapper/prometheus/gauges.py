"""The gauges: the state of processes, turns and jobs, and of the provider's limits."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from wrapper.prometheus.registry import Registry
from wrapper.services.provider_limits import ProviderLimits

# Those that Claude Code knows.
WINDOWS = (
    *("five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet"),
    "seven_day_overage_included",
)


class ProcessGauges:
    """The state of processes, and of the login that they use."""

    def __init__(self, registry: Registry):
        gauge = registry.gauge
        self._ready = gauge("processes_ready", "Warm processes.", "profile")
        self._booting = gauge("processes_booting", "Processes that are starting.", "profile")
        self._parked = gauge("processes_parked", "Processes that wait for a further turn.")
        self._expires = registry.newest_gauge(
            "login_expires_seconds",
            "When the gateway's login ends, in Unix seconds; NaN if that is unknown.",
        )
        self._failed = gauge("failed_checks", "Checks that Claude Code fails.", "profile")

    def set(self, health: dict[str, Any]) -> None:
        for profile, pool in health.get("pools", {}).items():
            self._ready.labels(profile=profile).set(pool["ready"])
            self._booting.labels(profile=profile).set(pool["booting"])
        for profile, trial in health.get("trials", {}).items():
            self._failed.labels(profile=profile).set(len(trial["failed"]))
        end = health.get("login", {}).get("expires_at")
        self._expires.set(datetime.fromisoformat(end).timestamp() if end else math.nan)
        self._parked.set(health.get("parked", 0))


class TurnGauges:
    """How many turns, approvals and jobs there are."""

    def __init__(self, registry: Registry):
        gauge = registry.gauge
        self._running = gauge("turns_running", "Turns that are running.")
        self._waiting = gauge("requests_waiting", "Requests that wait until a turn can run.")
        self._places = gauge("places", "Turns that may run at once.")
        self._approvals = gauge("approvals_pending", "Tools that wait for approval.")
        # All processes see the same jobs.
        self._jobs = registry.newest_gauge(
            "jobs", "Jobs of all processes that have not ended.", "kind", "state"
        )
        self._lines = registry.newest_gauge(
            "batch_lines_waiting", "Lines of all batches that have not begun."
        )

    def set(self, health: dict[str, Any]) -> None:
        turns = health["turns"]
        self._running.set(turns["running"])
        self._waiting.set(turns["waiting"])
        self._places.set(turns["places"])
        self._approvals.set(turns["approvals"])
        jobs = health.get("jobs", {})
        self._lines.set(jobs.get("lines_waiting", 0))
        for state in ("waiting", "running"):
            for kind, number in jobs.get(state, {}).items():
                self._jobs.labels(kind=kind, state=state).set(number)


class ProviderGauges:
    """The provider's limits, as far as a process has heard of them."""

    def __init__(self, registry: Registry):
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
