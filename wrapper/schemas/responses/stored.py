"""The queries and answers of the routes of stored responses."""

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
    required_text,
)
from wrapper.schemas.responses.request import ENCRYPTED

LONGEST_PAGE = 100
# More events than a response may have. A store could not search for a number of any length.
LAST_NUMBER = 2**31 - 1


# What comes before the number of the first event.
BEFORE_ALL = -1


@dataclass(frozen=True)
class StoredQuery:
    """How a response is read: whole, or as a `stream` of the events after a number.

    `encrypted` says whether reasoning items have their signed form.
    """

    encrypted: bool
    stream: bool
    starting_after: int


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
    stream = fields.Boolean(
        load_default=False,
        metadata=describe("Whether to stream the events of a response in the background."),
    )
    starting_after = fields.Integer(
        validate=Range(0, LAST_NUMBER),
        metadata=describe("The sequence_number of the event after which a stream begins."),
    )

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> StoredQuery:
        encrypted = ENCRYPTED in data["include"]
        after = data.get("starting_after", BEFORE_ALL)
        return StoredQuery(encrypted, data["stream"], after)


class ItemPageSchema(IncludeSchema):
    limit = fields.Integer(load_default=20, validate=Range(1, LONGEST_PAGE))
    order = fields.String(load_default="desc", validate=OneOf(("asc", "desc")))
    after = fields.String(metadata=describe("The id of the item before the page."))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ItemPage:
        encrypted = ENCRYPTED in data["include"]
        return ItemPage(encrypted, data["limit"], data["order"], data.get("after"))


class ItemListSchema(ListSchema):
    data = fields.List(fields.Dict(), required=True)


class ResponseDeletedSchema(BaseSchema):
    id = required_text()
    object = always("response")
    deleted = fields.Boolean(required=True)


STORED_QUERY = StoredQuerySchema()
ITEM_PAGE = ItemPageSchema()
