"""The bodies of errors, in OpenAI's shape and in Anthropic's."""

from __future__ import annotations

from marshmallow import fields

from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    nullable_text,
    required_object,
    required_text,
)


class ErrorDetailSchema(BaseSchema):
    message = required_text()
    type = required_text()
    param = nullable_text(metadata=describe("The path of the wrong input: messages.0.role."))
    code = nullable_text()


class ErrorSchema(BaseSchema):
    error = required_object(ErrorDetailSchema)


class MessageErrorDetailSchema(BaseSchema):
    type = required_text()
    message = required_text()
    details = fields.Dict(
        keys=fields.String(), metadata=describe("What the libraries of the API's clients act on.")
    )


class MessageErrorSchema(BaseSchema):
    type = always("error")
    error = required_object(MessageErrorDetailSchema)
    request_id = required_text(metadata=describe("The same as in the header request-id."))
