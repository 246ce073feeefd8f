"""The response of the Responses API, whole or as the events of a stream.

These schemas describe it in the OpenAPI document; the presenter in services/fronts writes it.
"""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import OneOf

from wrapper.json_text import Json
from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    nullable_text,
    required_count,
    required_object,
    required_text,
    unix_seconds,
)

STATUSES = ("in_progress", "completed", "incomplete", "failed")
ITEMS = ("message", "reasoning", "function_call", "custom_tool_call")
_NULL = {"type": "null"}


class InputDetailsSchema(BaseSchema):
    cached_tokens = required_count()
    cache_write_tokens = required_count()


class OutputDetailsSchema(BaseSchema):
    reasoning_tokens = required_count()


class ResponseUsageSchema(BaseSchema):
    input_tokens = required_count()
    input_tokens_details = required_object(InputDetailsSchema)
    output_tokens = required_count()
    output_tokens_details = required_object(OutputDetailsSchema)
    total_tokens = required_count()
    cost_usd = fields.Float(
        required=True, allow_none=True, metadata=describe("In dollars; null if unknown.")
    )


class OutputItemSchema(BaseSchema):
    """An item of the output. Which fields it has beside these depends on its type."""

    id = required_text()
    type = required_text(validate=OneOf(ITEMS))

    @classmethod
    def extend_json_schema(cls, json_schema: Json) -> Json:
        return {**json_schema, "additionalProperties": True}


class ResponseErrorSchema(BaseSchema):
    code = required_text()
    message = required_text()


class IncompleteDetailsSchema(BaseSchema):
    reason = required_text(validate=OneOf(("max_output_tokens", "content_filter")))


class ResponseSchema(BaseSchema):
    """A response. Beside these fields it repeats those of the request."""

    id = required_text()
    object = always("response")
    created_at = unix_seconds()
    status = required_text(validate=OneOf(STATUSES))
    background = fields.Boolean(required=True)
    completed_at = fields.Integer(required=True, allow_none=True)
    error = fields.Nested(ResponseErrorSchema, required=True, allow_none=True)
    incomplete_details = fields.Nested(IncompleteDetailsSchema, required=True, allow_none=True)
    instructions = nullable_text()
    model = required_text(metadata=describe("The model that ran."))
    output = fields.List(fields.Nested(OutputItemSchema), required=True)
    usage = fields.Nested(ResponseUsageSchema, required=True, allow_none=True)
    store = fields.Boolean(required=True, metadata=describe("Always false: nothing is stored."))
    previous_response_id = fields.Raw(required=True, metadata=_NULL)
    notes = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata=describe(
            "At a stream's end, what the headers x-retried-params, x-unmet-params, "
            "x-adapted-params and x-ended-early would say; absent if there is nothing to say."
        ),
    )

    @classmethod
    def extend_json_schema(cls, json_schema: Json) -> Json:
        return {**json_schema, "additionalProperties": True}


class ResponseEventSchema(BaseSchema):
    """An event of a stream. Which fields it has beside these depends on its type."""

    type = required_text()
    sequence_number = required_count()

    @classmethod
    def extend_json_schema(cls, json_schema: Json) -> Json:
        return {**json_schema, "additionalProperties": True}
