"""The access to tools of MCP servers: it is what a request gets, and names the rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wrapper.services.limits.bounds import bounds_of
from wrapper.services.limits.mcp_access import McpToolAccess
from wrapper.services.limits.mcp_policy import McpPolicy
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.tools.config import ToolConfig
from wrapper.services.tools.mcp import McpServer
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

SERVER = McpServer("a b", {"type": "stdio", "command": "x"})
TOOL, OTHER = "r.m", "add"
NAME = "mcp__a_b__r_m"
ALL = Principal("alice", mcp_servers=("*",))


@pytest.mark.parametrize(
    ("settings", "principal", "session", "access", "rule"),
    [
        ({}, LOCAL, None, "allowed", ("settings", "MCP_CONFIG")),
        ({}, ALL, None, "allowed", ("key", "mcp_servers")),
        ({}, replace(ALL, tools=("Read", "mcp__a_b")), None, "allowed", ("key", "mcp_servers")),
        ({}, replace(ALL, tools=(NAME,)), None, "allowed", ("key", "mcp_servers")),
        ({}, replace(ALL, tools=("mcp__a_b__add",)), None, "denied", ("key", "tools")),
        (
            *({}, replace(ALL, allowed_tools=("mcp__a_b__add",)), None),
            *("denied", ("key", "allowed_tools")),
        ),
        (
            *({"claude_allowed_tools": "mcp__a_b__add"}, ALL, None),
            *("denied", ("settings", "CLAUDE_ALLOWED_TOOLS")),
        ),
        (
            *({"claude_disallowed_tools": NAME}, ALL, None),
            *("denied", ("settings", "CLAUDE_DISALLOWED_TOOLS")),
        ),
        (
            *({}, ALL, ToolConfig(disallowed_tools=("mcp__a_b",))),
            *("denied", ("session", "disallowed_tools")),
        ),
        (
            *({}, ALL, ToolConfig(permission_mode="plan")),
            *("denied", ("session", "permission_mode")),
        ),
    ],
)
def test_access(
    settings: Any, principal: Principal, session: ToolConfig | None, access: str, rule: Any
) -> None:
    """The rule that decides is named, and a request gets the tools that are not denied."""
    given = Settings(**settings)
    bounds = bounds_of(given, principal, session)
    found = McpToolAccess(given, principal, bounds).of(SERVER, TOOL)
    assert (found.access, (found.source, found.rule)) == (access, rule)
    policy = McpPolicy(given, lambda: {SERVER.name: SERVER}, lambda servers: {})
    (usable,) = policy.usable(principal, bounds)
    assert usable.permits(TOOL) == (access == "allowed" or rule[1] == "permission_mode")
