"""The route of webhooks: which events were delivered, and which are still to be."""

from __future__ import annotations

from flask import Blueprint, Response, request

from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.base import load_data
from wrapper.schemas.webhooks import (
    DELIVERY_PAGE,
    DeliveryListSchema,
    DeliveryPage,
    DeliveryPageSchema,
)

webhooks = Blueprint("webhooks", __name__)


@webhooks.get("/webhooks")
@operation(
    query=DeliveryPageSchema,
    answers={200: DeliveryListSchema},
    answer=state_examples.WEBHOOKS,
    errors=(503,),
)
def list_webhooks() -> Response:
    """List the events for the caller's webhook, for an admin those of all, the newest first."""
    page: DeliveryPage = load_data(DELIVERY_PAGE, request.args.to_dict())
    service = current_gateway().webhooks
    data, has_more = service.deliveries(principal(), page.after, page.limit)
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    empty = {"first_id": None, "last_id": None}
    return reply({"object": "list", "data": data, **empty, **ends, "has_more": has_more})
