"""The responses of /models."""

from __future__ import annotations

from marshmallow import fields

from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    required_object,
    required_text,
    unix_seconds,
)


class CapabilitiesSchema(BaseSchema):
    temperature = fields.Boolean(required=True)
    top_p = fields.Boolean(required=True)
    reasoning_effort = fields.Boolean(required=True)
    thinking_off = fields.Boolean(
        required=True, metadata=describe("Whether reasoning_effort may be none.")
    )
    max_output_tokens = fields.Integer(
        required=True, metadata=describe("The largest max_tokens that the model takes.")
    )


class ModelSchema(BaseSchema):
    id = required_text()
    object = always("model")
    created = unix_seconds()
    owned_by = always("anthropic")
    runs = required_text(metadata=describe("The model that this name stands for."))
    name = required_text(metadata=describe("A name to show to people."))
    display_name = required_text()
    supports = required_object(
        CapabilitiesSchema,
        metadata=describe("The parameters that have an effect; others are ignored."),
    )


class ModelListSchema(BaseSchema):
    object = always("list")
    data = fields.List(fields.Nested(ModelSchema), required=True)
