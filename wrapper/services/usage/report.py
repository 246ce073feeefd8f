"""The report: the body of GET /v1/usage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from wrapper.services.usage.budget import NANO, Budget
from wrapper.services.usage.forecast import exhausted_at, forecast
from wrapper.services.usage.store import Amounts, Row, total


def report(rows: Sequence[Row], month: Sequence[Row], now: datetime) -> dict[str, Any]:
    """Return the body without its days and budgets: *rows*, their total, and a forecast.

    The rows of this *month* are of the same keys.
    """
    return {
        "object": "usage",
        "data": [_line(row) for row in rows],
        "total": _amounts(total(row.amounts for row in rows)),
        "forecast": forecast(month, now),
    }


def budget_report(
    budgets: Iterable[Budget], rows: Sequence[Row], now: datetime
) -> dict[str, dict[str, Any]]:
    """Return the state of the *budgets*, which the *rows* use, by name."""
    return {budget.name: _budget(budget, rows, now) for budget in budgets}


def _budget(budget: Budget, rows: Sequence[Row], now: datetime) -> dict[str, Any]:
    spent = budget.spent(rows)
    exhausted = exhausted_at(rows, (budget.first, budget.resets), budget.limit_usd, now)
    return {**budget.body(spent), "exhausted_at": exhausted}


def _line(row: Row) -> dict[str, Any]:
    return {"day": row.day, "key": row.key, "model": row.model, **_amounts(row.amounts)}


def _amounts(amounts: Amounts) -> dict[str, Any]:
    """Return tokens by OpenAI's names, and dollars. A prompt's tokens include the cached ones."""
    return {
        "requests": amounts.requests,
        "prompt_tokens": amounts.prompt,
        "cached_tokens": amounts.cache_read,
        "cache_write_tokens": amounts.cache_creation,
        "completion_tokens": amounts.output,
        "reasoning_tokens": amounts.reasoning,
        "total_tokens": amounts.tokens,
        "cost_usd": round(amounts.nanos * NANO, 9),
        "unpriced_usd": round(amounts.unpriced_nanos * NANO, 9),
    }
