"""The counters, and histograms of seconds, by what they are about."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from wrapper.prometheus.registry import Registry

PHASES = {
    "queue": "Seconds that a request waited until its turn could run.",
    "lease": "Seconds until a turn had a process: a warm, cold, parked or recycled one.",
    "configure": "Seconds until that process was configured for the turn.",
    "first_token": "Seconds from a request's beginning until the model began to answer.",
    "total": "Seconds from a request's beginning until its end.",
}


class TurnCounters:
    """Requests for turns: how long they take, and what fails."""

    def __init__(self, registry: Registry):
        self._seconds = {phase: _histogram(registry, phase) for phase in PHASES}
        # The library looks labels up under a lock, and each request has several phases.
        self.seconds = lru_cache(self._labelled)
        self.errors = registry.counter("errors", "Requests that failed, by code.", "code")
        self.requests = registry.counter("upstream_requests", "Requests to the model's API.")

    def _labelled(self, phase: str, *labels: str) -> Any:
        """Return the histogram of the seconds of *phase* with these labels."""
        return self._seconds[phase].labels(*labels)


class ModelCounters:
    """What models use and cost, and which of them fail."""

    def __init__(self, registry: Registry):
        self.tokens = registry.counter(
            "tokens", "Tokens; those of output include reasoning.", "model", "kind"
        )
        self.dollars = registry.counter("cost_dollars", "Cost as Claude Code reports it.", "model")
        self.fallbacks = registry.counter(
            "fallbacks", "Turns that another model answered, by the model that failed.", "model"
        )


class ToolCounters:
    """Uses of agents' tools, and approvals of them."""

    def __init__(self, registry: Registry):
        self.uses = registry.counter(
            "tool_uses", "Uses of agents' tools, by outcome.", "tool", "outcome"
        )
        self.seconds = registry.counter("tool_seconds", "Seconds that agents' tools took.", "tool")
        self.approvals = registry.counter(
            "approvals", "Tools that waited for approval, by how that ended.", "decision"
        )


class EventCounters:
    """Events beside turns: of budgets, webhooks and jobs."""

    def __init__(self, registry: Registry):
        self.budgets = registry.counter(
            "budget_thresholds",
            "Budgets of which a percentage is spent, by the limit's name.",
            *("budget", "percent"),
        )
        self.webhooks = registry.counter(
            "webhooks",
            "Attempts to deliver events: delivered, retried, failed (given up), or dropped unsent.",
            *("type", "outcome"),
        )
        self.jobs = registry.counter("jobs_ended", "Jobs that have ended.", "kind", "status")


def _histogram(registry: Registry, phase: str) -> Any:
    labels = ("profile", "source") if phase == "lease" else ("profile",)
    return registry.histogram(f"{phase}_seconds", PHASES[phase], *labels)
