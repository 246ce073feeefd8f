"""The response of /openapi.json."""

from __future__ import annotations

from marshmallow import fields

from wrapper.schemas.base import BaseSchema, required_text


class DocumentSchema(BaseSchema):
    openapi = required_text()
    info = fields.Dict(required=True)
    paths = fields.Dict(required=True)
    components = fields.Dict(required=True)
    servers = fields.List(fields.Dict(), required=True)
