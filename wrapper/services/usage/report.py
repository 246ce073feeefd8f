"""The report: what was spent, as GET /v1/usage tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from wrapper.services.usage.budget import NANO, Budget
from wrapper.services.usage.store import Amounts, Row, total


def report(
    first: date, last: date, rows: Sequence[Row], own: Sequence[Row], budgets: Sequence[Budget]
) -> dict[str, Any]:
    """Return the body: *rows* each and in all, and the caller's budgets, of which *own* count."""
    return {
        "object": "usage",
        "start": first.isoformat(),
        "end": last.isoformat(),
        "data": [_line(row) for row in rows],
        "total": _figures(total(row.amounts for row in rows)),
        "budgets": {budget.name: budget.body(own) for budget in budgets},
    }


def _line(row: Row) -> dict[str, Any]:
    return {"day": row.day, "key": row.key, "model": row.model, **_figures(row.amounts)}


def _figures(amounts: Amounts) -> dict[str, Any]:
    """Return tokens by OpenAI's names, of which a prompt's include the cached, and dollars."""
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
