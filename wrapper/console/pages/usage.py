"""What is spent, by day, key and model: plots, tables, budgets, and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, request

from wrapper.console.latencies import latencies, plotted
from wrapper.console.page import show as show_template
from wrapper.console.period import PERIODS, filled, period, periods
from wrapper.console.provider_limits import provider_limits
from wrapper.json_text import Json
from wrapper.routes.context import current_gateway, principal
from wrapper.schemas.base import load_data
from wrapper.schemas.usage import USAGE_QUERY
from wrapper.services.usage.ledger import Ledger

DAYS = 30
AMOUNTS = (
    *("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "total_tokens"),
    "cost_usd",
)
COLUMNS = ("day", "key", "model", *AMOUNTS, "cache_write_tokens", "reasoning_tokens")
BUDGETS = {"usd_per_day": "Today", "usd_per_month": "This month"}
# A spreadsheet takes a text with such a beginning for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")

usage = Blueprint("usage", __name__, url_prefix="/usage")


@usage.get("")
def show() -> Response:
    """Show what is spent in the days that the query names, or in the last ones."""
    report = _report()
    times = latencies(report["start"], report["end"], request.args.get("key") or None)
    by_day = times["by_day"]
    values = {
        "report": report,
        "days": [{**row, **plotted(by_day.get(row["day"]))} for row in _by_day(report)],
        "latencies": times,
        "models": _summed(report["data"], "model"),
        "keys": _summed(report["data"], "key"),
        "budgets": [(BUDGETS[name], budget) for name, budget in report["budgets"].items()],
        "logins": provider_limits(),
        "key": request.args.get("key", ""),
        "periods": periods(),
    }
    return show_template("usage.html", values)


@usage.get("/usage.csv")
def download() -> Response:
    """Return the same days as a table of every day, key and model."""
    report = _report()
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _safe(row[name]) for name in COLUMNS} for row in report["data"])
    name = f"usage-{report['start']}-{report['end']}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), headers=headers, mimetype="text/csv")


def _report() -> Json:
    start, end = period(DAYS)
    query = load_data(USAGE_QUERY, {"start": start, "end": end, **filled(request.args)})
    ledger: Ledger = current_gateway().limits.ledger
    return ledger.report(principal(), query.start, query.end, query.key)


def _by_day(report: Json) -> Iterator[Json]:
    """Yield the amounts of each day that has any, and of a month's days also those without."""
    first, last = (date.fromisoformat(report[name]) for name in ("start", "end"))
    spent = {row["day"]: row for row in _summed(report["data"], "day")}
    if (last - first).days > max(PERIODS):
        yield from sorted(spent.values(), key=lambda row: str(row["day"]))
        return
    for number in range((last - first).days + 1):
        day = (first + timedelta(number)).isoformat()
        yield spent.get(day, {"day": day, **dict.fromkeys(AMOUNTS, 0)})


def _summed(rows: Iterable[Json], name: str) -> list[Json]:
    """Return the sums of *rows* by their field *name*, the costliest first."""
    sums: dict[str, Json] = {}
    for row in rows:
        amounts = sums.setdefault(row[name], {name: row[name], **dict.fromkeys(AMOUNTS, 0)})
        for amount in AMOUNTS:
            amounts[amount] += row[amount]
    return sorted(sums.values(), key=lambda row: (-row["cost_usd"], str(row[name])))


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
