"""The query and the response of /usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from marshmallow import ValidationError, fields, post_load
from marshmallow.validate import Length, OneOf, Range

from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    required_count,
    required_object,
    required_text,
)

_required_dollars = partial(fields.Float, required=True, validate=Range(min=0))


@dataclass(frozen=True)
class UsageQuery:
    """The days from `start` to `end`, of one key or of every key that the caller may see."""

    start: date
    end: date
    key: str | None = None


class UsageQuerySchema(BaseSchema):
    """The query. The view adds today as the end if the caller names none."""

    start = fields.Date(metadata=describe("The first day. Default: the first of the end's month."))
    end = fields.Date(metadata=describe("The last day. Default: today, by UTC."))
    key = fields.String(
        validate=Length(min=1),
        metadata=describe("The key's name. Only an admin may name another's key."),
    )

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> UsageQuery:
        query = UsageQuery(**{"start": data["end"].replace(day=1), **data})
        if query.start > query.end:
            raise ValidationError(f"Must not be after the end, {query.end}.", "start")
        return query


class UsageAmountsSchema(BaseSchema):
    requests = required_count()
    prompt_tokens = required_count()
    cached_tokens = required_count()
    cache_write_tokens = required_count()
    completion_tokens = required_count()
    reasoning_tokens = required_count()
    total_tokens = required_count()
    cost_usd = _required_dollars(metadata=describe("The cost that Claude Code reports."))
    unpriced_usd = _required_dollars(
        metadata=describe("The most that turns without a reported cost can have cost.")
    )


class UsageLineSchema(UsageAmountsSchema):
    day = fields.Date(required=True)
    key = required_text()
    model = required_text()


class BudgetSchema(BaseSchema):
    limit_usd = _required_dollars()
    spent_usd = _required_dollars()
    resets_at = fields.DateTime(required=True)
    exhausted_at = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=describe(
            "When it will be used up at the pace so far; null if it is, if it lasts until it "
            "resets, or if that is unknown."
        ),
    )


class PeriodForecastSchema(BaseSchema):
    spent_usd = _required_dollars()
    expected_usd = _required_dollars(
        allow_none=True,
        metadata=describe(
            "What will be spent when the period ends, at the pace since the first day of it with "
            "usage; null within the first hour of a day, or the first day of a month."
        ),
    )
    ends_at = fields.DateTime(required=True)


class ForecastSchema(BaseSchema):
    day = required_object(PeriodForecastSchema)
    month = required_object(PeriodForecastSchema)


class UsageReportSchema(BaseSchema):
    object = always("usage")
    start = fields.Date(required=True)
    end = fields.Date(required=True)
    data = fields.List(fields.Nested(UsageLineSchema), required=True)
    total = required_object(UsageAmountsSchema)
    forecast = required_object(
        ForecastSchema,
        metadata=describe("What today and this month will cost, of the same keys."),
    )
    budgets = fields.Dict(
        keys=fields.String(validate=OneOf(("usd_per_day", "usd_per_month"))),
        values=fields.Nested(BudgetSchema),
        required=True,
        metadata=describe("The caller's own."),
    )


USAGE_QUERY = UsageQuerySchema()
