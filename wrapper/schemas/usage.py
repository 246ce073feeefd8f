"""The usage: which days and whose are asked for, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from marshmallow import ValidationError, fields, post_load
from marshmallow.validate import Equal, Length, OneOf, Range

from wrapper.schemas.base import BaseSchema, means

_count = partial(fields.Integer, required=True, validate=Range(min=0))
_dollars = partial(fields.Float, required=True, validate=Range(min=0))


@dataclass(frozen=True)
class UsageQuery:
    """The days from *start* to *end*, of one key or of all that the caller may see."""

    start: date
    end: date
    key: str | None = None


class UsageQuerySchema(BaseSchema):
    """The view says the end where the caller does not."""

    start = fields.Date(metadata=means("The first day. Default: the first of the end's month."))
    end = fields.Date(metadata=means("The last day. Default: today, by UTC."))
    key = fields.String(validate=Length(min=1), metadata=means("Whose; others' only an admin."))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> UsageQuery:
        query = UsageQuery(**{"start": data["end"].replace(day=1), **data})
        if query.start > query.end:
            raise ValidationError(f"Must not be after the end, {query.end}.", "start")
        return query


class FiguresSchema(BaseSchema):
    requests = _count()
    prompt_tokens = _count()
    cached_tokens = _count()
    cache_write_tokens = _count()
    completion_tokens = _count()
    reasoning_tokens = _count()
    total_tokens = _count()
    cost_usd = _dollars(metadata=means("What Claude Code says it cost."))
    unpriced_usd = _dollars(metadata=means("The most that it can have cost beside that."))


class UsageLineSchema(FiguresSchema):
    day = fields.Date(required=True)
    key = fields.String(required=True)
    model = fields.String(required=True)


class BudgetSchema(BaseSchema):
    limit_usd = _dollars()
    spent_usd = _dollars()
    resets_at = fields.DateTime(required=True)


class UsageReportSchema(BaseSchema):
    object = fields.String(required=True, validate=Equal("usage"))
    start = fields.Date(required=True)
    end = fields.Date(required=True)
    data = fields.List(fields.Nested(UsageLineSchema), required=True)
    total = fields.Nested(FiguresSchema, required=True)
    budgets = fields.Dict(
        keys=fields.String(validate=OneOf(("usd_per_day", "usd_per_month"))),
        values=fields.Nested(BudgetSchema),
        required=True,
        metadata=means("The caller's own."),
    )


USAGE_QUERY = UsageQuerySchema()
