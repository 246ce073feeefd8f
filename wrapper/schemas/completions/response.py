"""The response of OpenAI's older completions API, whole or as the chunks of a stream.

These schemas describe it in the OpenAPI document; the presenter in services/fronts writes it.
"""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import OneOf

from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    nullable_text,
    required_count,
    required_text,
    unix_seconds,
)
from wrapper.schemas.chat.response import NOTES, UsageSchema


class TextChoiceSchema(BaseSchema):
    text = required_text()
    index = required_count(metadata=describe("n answers to the first prompt, then to the next."))
    logprobs = fields.Raw(required=True, metadata={"type": "null"})
    finish_reason = nullable_text(validate=OneOf(("stop", "length", "content_filter")))


class TextCompletionSchema(BaseSchema):
    id = required_text()
    object = always("text_completion")
    created = unix_seconds()
    model = required_text(metadata=describe("The model that ran."))
    choices = fields.List(fields.Nested(TextChoiceSchema), required=True)
    usage = fields.Nested(
        UsageSchema,
        allow_none=True,
        metadata=describe("In a stream only with include_usage: null, except in the last chunk."),
    )
    notes = NOTES
