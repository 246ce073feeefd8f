"""The usage route: tokens and costs by day, key and model."""

from __future__ import annotations

from flask import Blueprint, Response, request

from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.base import load_data
from wrapper.schemas.usage import USAGE_QUERY, UsageQuerySchema, UsageReportSchema

usage = Blueprint("usage", __name__)


@usage.get("/usage")
@operation(
    query=UsageQuerySchema,
    answers={200: UsageReportSchema},
    answer=state_examples.USAGE,
    errors=(503,),
)
def read_usage() -> Response:
    """Report the days from `start` to `end`; by default, this month until today."""
    ledger = current_gateway().limits.ledger
    defaults = {"end": ledger.today().isoformat()}
    query = load_data(USAGE_QUERY, {**defaults, **request.args.to_dict()})
    return reply(ledger.report(principal(), query.start, query.end, query.key))
