"""The body of every error, in OpenAI's shape."""

from __future__ import annotations

from wrapper.schemas.base import (
    BaseSchema,
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
