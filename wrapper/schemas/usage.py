"""The usage query: which days, and whose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from marshmallow import ValidationError, fields, post_load
from marshmallow.validate import Length

from wrapper.schemas.base import BaseSchema


@dataclass(frozen=True)
class UsageQuery:
    """The days from *start* to *end*, of one key or of all that the caller may see."""

    start: date
    end: date
    key: str | None = None


class UsageQuerySchema(BaseSchema):
    """Without *start*, the days begin with the month of *end*, which the view gives if nobody."""

    start = fields.Date()
    end = fields.Date(required=True)
    key = fields.String(validate=Length(min=1))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> UsageQuery:
        query = UsageQuery(**{"start": data["end"].replace(day=1), **data})
        if query.start > query.end:
            raise ValidationError(f"Must not be after the end, {query.end}.", "start")
        return query


USAGE_QUERY = UsageQuerySchema()
