"""The query of the console's page about finished requests."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, post_load
from marshmallow.validate import Length, Regexp

from wrapper.schemas.usage import UsageQuery, UsageQuerySchema
from wrapper.services.requests.request import RequestQuery

LONGEST = 256


class RequestsQuerySchema(UsageQuerySchema):
    """The query. It loads as a RequestQuery and the position before which requests are shown."""

    model = fields.String(validate=Length(max=LONGEST))
    status = fields.String(validate=Length(max=LONGEST))
    id = fields.String(validate=Length(max=LONGEST))
    # The position of a request in SQLite, or in Redis.
    before = fields.String(validate=Regexp(r"[0-9]{1,18}(-[0-9]{1,18})?\Z"))

    @post_load
    def build(self, data: dict[str, Any], **options: Any) -> Any:
        names = ("start", "end", "key")
        days: UsageQuery = super().build({n: data[n] for n in names if n in data}, **options)
        query = RequestQuery(
            days.start.isoformat(),
            days.end.isoformat(),
            days.key,
            model=data.get("model", ""),
            outcome=data.get("status", ""),
            id=data.get("id", ""),
        )
        return query, data.get("before", "")


REQUESTS_QUERY = RequestsQuerySchema()
