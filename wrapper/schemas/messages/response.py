"""The answer of Anthropic's Messages API, whole or as the events of a stream.

These schemas describe it in the OpenAPI document. The model's API writes it.
"""

from __future__ import annotations

from marshmallow import fields

from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    nullable_text,
    required_text,
)


class MessageAnswerSchema(BaseSchema):
    id = required_text()
    type = always("message")
    role = always("assistant")
    model = required_text(metadata=describe("The model that ran."))
    content = fields.List(fields.Dict(), required=True)
    stop_reason = nullable_text()
    stop_sequence = nullable_text()
    usage = fields.Dict(required=True, metadata=describe("As the model's API reports it."))


class MessageEventSchema(BaseSchema):
    type = required_text(
        metadata=describe(
            "message_start, content_block_start, content_block_delta, content_block_stop, "
            "message_delta, message_stop, ping, or another of the API's; each with its own fields."
        )
    )
