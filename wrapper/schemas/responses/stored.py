"""The queries and answers of the routes of stored responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates
from marshmallow.validate import OneOf, Range

from wrapper.schemas.base import (
    BaseSchema,
    CodedMessage,
    always,
    describe,
    nullable_text,
    required_text,
)
from wrapper.schemas.responses.request import ENCRYPTED

LONGEST_PAGE = 100


@dataclass(frozen=True)
class ItemPage:
    """At most `limit` items after the one with the id `after`, in an `order`.

    `encrypted` says whether reasoning items have their signed form.
    """

    encrypted: bool
    limit: int
    order: str
    after: str | None


class IncludeSchema(BaseSchema):
    """A query with `include`, which openai's libraries send as `include[]`."""

    include = fields.List(
        fields.String(),
        load_default=(),
        metadata=describe(f"{ENCRYPTED} adds the thinking's signed form to reasoning items."),
    )


class StoredQuerySchema(IncludeSchema):
    stream = fields.String(metadata=describe("Only false: a stored response is not streamed."))

    @validates("stream")
    def check_stream(self, value: str, **_: Any) -> None:
        if value.lower() not in ("false", "0"):
            message = "A stored response is not streamed; leave it out."
            raise ValidationError(CodedMessage(message, "unsupported_parameter"))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> bool:
        """Return whether reasoning items have their signed form."""
        return ENCRYPTED in data["include"]


class ItemPageSchema(IncludeSchema):
    limit = fields.Integer(load_default=20, validate=Range(1, LONGEST_PAGE))
    order = fields.String(load_default="desc", validate=OneOf(("asc", "desc")))
    after = fields.String(metadata=describe("The id of the item before the page."))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ItemPage:
        encrypted = ENCRYPTED in data["include"]
        return ItemPage(encrypted, data["limit"], data["order"], data.get("after"))


class ItemListSchema(BaseSchema):
    object = always("list")
    data = fields.List(fields.Dict(), required=True)
    first_id = nullable_text()
    last_id = nullable_text()
    has_more = fields.Boolean(required=True)


class ResponseDeletedSchema(BaseSchema):
    id = required_text()
    object = always("response")
    deleted = fields.Boolean(required=True)


STORED_QUERY = StoredQuerySchema()
ITEM_PAGE = ItemPageSchema()
