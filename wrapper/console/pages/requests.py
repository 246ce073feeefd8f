"""Finished requests: find them, and open one to its times, tools, tokens, cost and error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, request

from wrapper.console.page import show as show_template
from wrapper.console.period import filled, period, periods
from wrapper.routes.context import current_gateway, principal
from wrapper.schemas.base import load_data
from wrapper.schemas.requests import REQUESTS_QUERY
from wrapper.services.requests.history import RequestHistory
from wrapper.services.requests.request import CLIENT_GONE, DONE, FAILED, FinishedRequest
from wrapper.services.usage.budget import NANO
from wrapper.services.usage.store import Amounts
from wrapper.services.usage.tool_counts import ToolCounts

# Requests on one page.
MOST = 50
DAYS = 7
STATUSES = {"": "any", DONE: "done", FAILED: "failed", CLIENT_GONE: "client left"}
# What a request waits for before the model is asked.
WAITS = {"queue_ms": "Queue", "lease_ms": "Process", "configure_ms": "Set-up"}
# All of an error's text, where that may quote the request.
HIDDEN = re.compile(r"<\d+ characters>")
WITHHELD = "Its text may quote the request, and is kept only with LOG_PROMPTS=true."
NOTES = {
    "adapted_params": "Adapted",
    "retried_params": "Asked again for",
    "unmet_params": "Not met",
    "ended_early": "Ended early by",
    "failed_models": "Failed before",
}

requests = Blueprint("requests", __name__, url_prefix="/requests")


@requests.get("")
def show() -> Response:
    """Show the requests that the query names, the last one first."""
    history: RequestHistory | None = current_gateway().observers.history
    if history is None:
        return show_template("requests_off.html")
    start, end = period(DAYS)
    # Only the query's own: Flask takes other names for options of the links' addresses.
    fields = {n: text for n, text in filled(request.args).items() if n in REQUESTS_QUERY.fields}
    query, before = load_data(REQUESTS_QUERY, {"start": start, "end": end, **fields})
    found = history.find(principal(), query, before, MOST + 1)
    number, amounts = history.total(principal(), query)
    values = {
        "query": query,
        "shared": {**fields, "start": query.first, "end": query.last, "before": None},
        "filtered": bool(fields.keys() - {"start", "end", "before"}),
        "before": before,
        "rows": [_row(each) for each in found[:MOST]],
        "older": found[MOST - 1].position if len(found) > MOST else None,
        "number": number,
        "sums": _amounts(amounts),
        "statuses": _statuses(query.outcome),
        "periods": periods(),
        "days": history.days,
    }
    return show_template("requests.html", values)


def _statuses(chosen: str) -> dict[str, str]:
    """Return what the form offers: with the code of an error, if one is chosen."""
    return STATUSES if chosen in STATUSES else {**STATUSES, chosen: chosen}


def _row(finished: FinishedRequest) -> dict[str, Any]:
    details = finished.details
    return {
        "request": finished,
        "tone": {DONE: "good", CLIENT_GONE: "muted"}.get(finished.outcome, "bad"),
        "status": STATUSES.get(finished.outcome, finished.outcome),
        "error": _error(details.get("error", "")),
        "amounts": _amounts(finished.amounts),
        "parts": list(_parts(details)),
        "tools": [(n, ToolCounts(*counts)) for n, counts in details.get("tools", {}).items()],
        "notes": [(title, details[name]) for name, title in NOTES.items() if name in details],
    }


def _error(text: str) -> str:
    """Return an error's text, or why there is none."""
    return WITHHELD if HIDDEN.fullmatch(text) else text


def _amounts(amounts: Amounts) -> dict[str, Any]:
    return {
        "tokens": amounts.tokens,
        "prompt": amounts.prompt,
        "cached": amounts.cache_read,
        "written": amounts.cache_creation,
        "answer": amounts.output,
        "thinking": amounts.reasoning,
        "cost_usd": amounts.nanos * NANO,
        "unpriced_usd": amounts.unpriced_nanos * NANO,
    }


def _parts(details: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Yield the parts of a request's time: its name, its start and its milliseconds."""
    start = 0
    for name, title in WAITS.items():
        if name in details:
            yield title, start, details[name]
            start += details[name]
    if "first_token_ms" in details:
        yield "First token", start, max(0, details["first_token_ms"] - start)
        start = max(start, details["first_token_ms"])
    if "total_ms" in details:
        yield "Rest", start, max(0, details["total_ms"] - start)
