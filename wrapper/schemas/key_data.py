"""The path and the response of /keys/{key}/data."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import Regexp

from wrapper.schemas.base import BaseSchema, always, describe, required_count, required_text
from wrapper.services.principal import NAME


class KeyPathSchema(BaseSchema):
    key = fields.String(
        required=True,
        # Python's $ also matches before a final newline.
        validate=Regexp(rf"(?:{NAME.pattern})\Z", NAME.flags, error="Is no name of a key."),
        metadata=describe("The name of the key."),
    )


class DeletedCountsSchema(BaseSchema):
    """How many were deleted, by kind; those that this gateway does not keep are missing."""

    background_responses = required_count()
    batches = required_count()
    turns = required_count(metadata=describe("How many were stopped."))
    approvals = required_count()
    responses = required_count()
    files = required_count()
    webhooks = required_count(metadata=describe("The events for the key's webhook."))
    sign_ins = required_count(metadata=describe("The key's sign-ins to the console."))
    sessions = fields.Integer()
    requests = fields.Integer(metadata=describe("The finished requests in the console."))


class KeyDataDeletedSchema(BaseSchema):
    object = always("key.data.deleted")
    key = required_text()
    deleted = fields.Nested(DeletedCountsSchema, required=True)
    valid = fields.Boolean(
        required=True,
        metadata=describe(
            "Whether the gateway has such a key, so that what it sends is stored again; false "
            "where the app around the gateway says who calls."
        ),
    )


KEY_PATH = KeyPathSchema()
