"""What was spent, by day, key and model."""

from __future__ import annotations

from flask import Blueprint, Response, request

from wrapper.routes.context import current_gateway, principal
from wrapper.routes.operation import operation
from wrapper.routes.responses import reply
from wrapper.schemas.base import load_data
from wrapper.schemas.usage import USAGE_QUERY, UsageQuerySchema, UsageReportSchema

usage = Blueprint("usage", __name__)


@usage.get("/usage")
@operation(query=UsageQuerySchema, answers={200: UsageReportSchema}, errors=(503,))
def read_usage() -> Response:
    """Report the days from `start` to `end`, this month's until today where nothing is said."""
    ledger = current_gateway().ledger
    asked = {"end": ledger.today().isoformat(), **request.args.to_dict()}
    query = load_data(USAGE_QUERY, asked)
    return reply(ledger.report(principal(), query.start, query.end, query.key))
