"""The response of /mcp/servers."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import OneOf

from wrapper.schemas.base import BaseSchema, always, describe, nullable_text, required_text


class McpServerSchema(BaseSchema):
    """A server. Nothing of its URL, command, headers or variables is shown."""

    name = required_text(metadata=describe("Its name for claude.mcp_servers."))
    type = fields.String(required=True, validate=OneOf(("stdio", "http", "sse")))
    state = fields.String(
        required=True,
        validate=OneOf(("connected", "failed", "pending")),
        metadata=describe("How this worker last found it; pending until it has been tried."),
    )
    since = fields.DateTime(
        required=True, allow_none=True, metadata=describe("When it was first found so.")
    )
    tools = fields.List(
        fields.String(),
        required=True,
        metadata=describe("The tools that the caller may use, by their names in rules."),
    )
    last_error = nullable_text(metadata=describe("Why it failed last."))
    last_error_at = fields.DateTime(required=True, allow_none=True)


class McpServerListSchema(BaseSchema):
    object = always("list")
    data = fields.List(fields.Nested(McpServerSchema), required=True)
