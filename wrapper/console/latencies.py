"""How long answers took, as the page about usage shows it."""

from __future__ import annotations

from typing import Any

from wrapper.routes.context import current_gateway, principal
from wrapper.services.requests.history import RequestHistory
from wrapper.services.requests.latency import LatencySummary, summarise
from wrapper.services.requests.request import RequestQuery


def latencies(first: str, last: str, key: str | None) -> dict[str, Any]:
    """Return summaries by model, by day and model, and by day; empty ones without a history."""
    history: RequestHistory | None = current_gateway().observers.history
    query = RequestQuery(first, last, key)
    values = history.latencies(principal(), query) if history else []
    by_day_and_model = summarise(values, lambda latency: (latency.day, latency.model))
    return {
        "by_model": sorted(summarise(values, lambda latency: latency.model).items()),
        "by_day_and_model": sorted(by_day_and_model.items(), reverse=True),
        "by_day": summarise(values, lambda latency: latency.day),
    }


def plotted(summary: LatencySummary | None) -> dict[str, int | None]:
    """Return what the plot shows of a day, which has nothing where nothing was answered."""
    if summary is None:
        return {"first_p50": None, "first_p95": None}
    return {"first_p50": summary.first_token.p50, "first_p95": summary.first_token.p95}
