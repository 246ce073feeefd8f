"""The options of Claude Code, in the request's object `claude`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, fields
from marshmallow.validate import Length, OneOf, Range

from wrapper.schemas.base import (
    MAX_INTEGER,
    BaseSchema,
    BoundedList,
    StrictBool,
    StrictInt,
    describe,
    model_name,
)
from wrapper.schemas.mcp_servers import RequestedServers, ServersField
from wrapper.settings import PERMISSION_MODES

MOST_FALLBACKS = 3


class ClaudeSchema(BaseSchema):
    """The options. Unknown ones are refused."""

    class Meta:
        unknown = RAISE

    profile = fields.String(
        allow_none=True,
        validate=OneOf(("agent", "plain")),
        metadata=describe("agent has Claude Code's tools; plain has none."),
    )
    fallback_models = BoundedList(
        model_name(),
        allow_none=True,
        validate=Length(max=MOST_FALLBACKS),
        metadata=describe(
            "Models that answer in place of `model`, in this order, if it is overloaded, limited, "
            "failing or retired and has not begun to answer."
        ),
    )
    system_prompt_mode = fields.String(
        allow_none=True,
        validate=OneOf(("replace", "append")),
        metadata=describe(
            "Whether system messages replace Claude Code's system prompt or follow it."
        ),
    )
    prefill = StrictBool(
        allow_none=True,
        metadata=describe("Allow the last message to be the assistant's; the model continues it."),
    )
    compact = StrictBool(
        allow_none=True,
        metadata=describe(
            "Allow a session that is too long for the model to continue from a summary."
        ),
    )
    show_tool_use = StrictBool(
        allow_none=True, metadata=describe("Report tool use in reasoning_content.")
    )
    allowed_tools = fields.List(
        fields.String(),
        allow_none=True,
        metadata=describe("The only tools of Claude Code that may be used."),
    )
    disallowed_tools = fields.List(
        fields.String(), allow_none=True, metadata=describe("Permission rules that deny tool use.")
    )
    mcp_servers = ServersField(
        allow_none=True,
        metadata=describe(
            "The MCP servers whose tools the agent gets: names of those that GET /v1/mcp/servers "
            "lists, and objects that bring one each by its URL, where the gateway allows that."
        ),
    )
    permission_mode = fields.String(
        allow_none=True,
        validate=OneOf(PERMISSION_MODES),
        metadata=describe(
            "What tools may do without asking; no wider than the gateway's own mode."
        ),
    )
    max_turns = StrictInt(
        allow_none=True,
        validate=Range(1, MAX_INTEGER),
        metadata=describe(
            "The most rounds of tool use; then the answer ends with finish_reason length."
        ),
    )


def claude_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a TurnRequest that these *options* set."""
    allowed, denied = options.get("allowed_tools"), options.get("disallowed_tools")
    servers: RequestedServers | None = options.get("mcp_servers")
    mode = options.get("system_prompt_mode")
    fallbacks = options.get("fallback_models")
    return {
        "profile": options.get("profile"),
        "fallback_models": None if fallbacks is None else tuple(fallbacks),
        "appends_system": None if mode is None else mode == "append",
        "prefill": options.get("prefill") or False,
        "compacts": options.get("compact"),
        "show_tool_use": options.get("show_tool_use") or False,
        "allowed_tools": None if allowed is None else tuple(allowed),
        "disallowed_tools": None if denied is None else tuple(denied),
        "mcp_servers": None if servers is None else servers.names,
        "brought_servers": () if servers is None else servers.brought,
        "named_servers": {} if servers is None else servers.named,
        "permission_mode": options.get("permission_mode"),
        "max_turns": options.get("max_turns"),
    }
