"""The queries, bodies and responses of /tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import RAISE, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range

from wrapper.schemas.base import (
    MAX_INTEGER,
    BaseSchema,
    StrictInt,
    always,
    describe,
    required_count,
    required_object,
    required_text,
)
from wrapper.schemas.sessions import SessionIdField
from wrapper.services.tools.config import ToolConfig
from wrapper.settings import PERMISSION_MODES

MOST_RULES = 100
LONGEST_RULE = 256


@dataclass(frozen=True)
class ConfigOwner:
    """Whose tool config is meant: that of a session, of a key, or of the caller's own key."""

    session_id: str | None = None
    key: str | None = None


class ToolsQuerySchema(BaseSchema):
    session_id = SessionIdField(
        metadata=describe("A session of the caller, whose next turn the answer is for.")
    )


class ConfigOwnerSchema(BaseSchema):
    session_id = SessionIdField(metadata=describe("A session of the caller."))
    key = fields.String(
        validate=Length(min=1),
        metadata=describe("A key's name. Only an admin may name another's key."),
    )

    @validates_schema
    def check_owner(self, data: dict[str, Any], **_: Any) -> None:
        if len(data) > 1:
            raise ValidationError("Must not stand beside session_id.", "key")

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ConfigOwner:
        return ConfigOwner(**data)


def _check_text(text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise ValidationError("Must be a nonempty text of one line.")


def _names(description: str) -> fields.List[str]:
    name = fields.String(validate=[Length(1, LONGEST_RULE), _check_text])
    return fields.List(
        name, allow_none=True, validate=Length(max=MOST_RULES), metadata=describe(description)
    )


class ToolConfigSchema(BaseSchema):
    """A tool config. What it leaves out, or sets to null, is not limited. Others are refused."""

    class Meta:
        unknown = RAISE

    allowed_tools = _names("The only tools of Claude Code that may be used.")
    disallowed_tools = _names("Permission rules that deny tool use.")
    permission_mode = fields.String(
        allow_none=True,
        validate=OneOf(PERMISSION_MODES),
        metadata=describe("The widest mode: what tools may do without asking."),
    )
    max_turns = StrictInt(
        allow_none=True,
        validate=Range(1, MAX_INTEGER),
        metadata=describe("The most rounds of tool use that a request may take."),
    )

    mcp_servers = _names("The only MCP servers that may be used.")

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ToolConfig:
        lists = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
        return ToolConfig(**{**data, **lists})


class DecidingRuleSchema(BaseSchema):
    source = fields.String(
        required=True, validate=OneOf(("settings", "key", "key_config", "session"))
    )
    name = required_text(metadata=describe("The setting or the limit that decides."))


class OfferedToolSchema(BaseSchema):
    object = always("tool")
    name = required_text()
    description = required_text()
    input_schema = fields.Dict(keys=fields.String(), required=True)
    origin = required_text(
        metadata=describe("claude_code, mcp:NAME for an MCP server's, subagent, skill or command.")
    )
    access = fields.String(
        required=True,
        validate=OneOf(("allowed", "needs_approval", "conditional", "denied")),
        metadata=describe(
            "Whether the caller's agents may use it; needs_approval: after a POST to "
            "/v1/approvals/{id}; conditional: some uses of it."
        ),
    )
    reason = required_text()
    rule = required_object(
        DecidingRuleSchema,
        allow_none=True,
        metadata=describe("What decides; null if Claude Code itself does."),
    )


class UnlistedToolsSchema(BaseSchema):
    origin = required_text(metadata=describe("mcp:NAME of an MCP server."))
    reason = required_text()


class ToolListSchema(BaseSchema):
    object = always("list")
    data = fields.List(fields.Nested(OfferedToolSchema), required=True)
    unlisted = fields.List(
        fields.Nested(UnlistedToolsSchema),
        required=True,
        metadata=describe("MCP servers that the caller may use, but whose tools are not listed."),
    )


class ToolStatsLineSchema(BaseSchema):
    key = required_text()
    tool = required_text(
        metadata=describe("The tool's name; other for tools that do not exist, or are too many.")
    )
    uses = required_count()
    failures = required_count(metadata=describe("Uses with an error, or broken off."))
    denials = required_count(metadata=describe("Uses that were not permitted."))
    seconds = fields.Float(
        required=True,
        validate=Range(min=0),
        metadata=describe("The time of all uses, each from its call until its result."),
    )


class ToolStatsSchema(BaseSchema):
    object = always("tools.stats")
    start = fields.Date(required=True)
    end = fields.Date(required=True)
    data = fields.List(fields.Nested(ToolStatsLineSchema), required=True)


class ToolConfigStateSchema(BaseSchema):
    object = always("tools.config")
    session_id = fields.String(metadata=describe("The session that it is for."))
    key = fields.String(metadata=describe("The key that it is for."))
    config = required_object(ToolConfigSchema)
    effective = required_object(
        ToolConfigSchema,
        metadata=describe("What the settings, the key and the config allow together."),
    )


TOOLS_QUERY = ToolsQuerySchema()
CONFIG_OWNER = ConfigOwnerSchema()
TOOL_CONFIG = ToolConfigSchema()
