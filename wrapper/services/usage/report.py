"""The report: the body of GET /v1/usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from wrapper.services.usage.budget import NANO, Budget
from wrapper.services.usage.store import Amounts, Row, total


def report(
    first: date, last: date, rows: Sequence[Row], own: Sequence[Row], budgets: Sequence[Budget]
) -> dict[str, Any]:
    """Return the body: *rows*, their total, and the caller's budgets, which the rows *own* use."""
    return {
        "object": "usage",
        "start": first.isoformat(),
        "end": last.isoformat(),
        "data": [_line(row) for row in rows],
        "total": _amounts(total(row.amounts for row in rows)),
        "budgets": {budget.name: budget.body(own) for budget in budgets},
    }


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
