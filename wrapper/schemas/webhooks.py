"""The query and the response of /webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import fields, post_load
from marshmallow.validate import OneOf, Range

from wrapper.schemas.base import (
    BaseSchema,
    ListSchema,
    always,
    describe,
    nullable_text,
    required_count,
    required_text,
)
from wrapper.services.webhooks.event import TYPES

LONGEST_PAGE = 100


@dataclass(frozen=True)
class DeliveryPage:
    """At most `limit` deliveries, those before the one with the id `after`."""

    limit: int
    after: str


class DeliveryPageSchema(BaseSchema):
    limit = fields.Integer(load_default=20, validate=Range(1, LONGEST_PAGE))
    after = fields.String(
        load_default="", metadata=describe("The id of the delivery before the page.")
    )

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> DeliveryPage:
        return DeliveryPage(**data)


class DeliverySchema(BaseSchema):
    """An event for one recipient, and how far its delivery is."""

    object = always("webhook.delivery")
    id = required_text(metadata=describe("The id of the event, in its header webhook-id, too."))
    type = fields.String(required=True, validate=OneOf([*TYPES]))
    key = nullable_text(metadata=describe("The key that gets it; null for the operator."))
    url = nullable_text(
        metadata=describe("Where it goes, without login and query; null if that is set no more.")
    )
    created_at = fields.DateTime(required=True)
    status = fields.String(
        required=True,
        validate=OneOf(("pending", "delivered", "failed")),
        metadata=describe("failed: there will be no further attempt."),
    )
    attempts = required_count()
    last_status = fields.Integer(
        required=True, allow_none=True, metadata=describe("The status of the last answer.")
    )
    last_error = nullable_text(metadata=describe("Why the last attempt failed."))
    next_attempt_at = fields.DateTime(required=True, allow_none=True)


class DeliveryListSchema(ListSchema):
    data = fields.List(fields.Nested(DeliverySchema), required=True)


DELIVERY_PAGE = DeliveryPageSchema()
