"""The tool config: how far a session or a key narrows what its agents may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# How much tools may do in each permission mode without being approved.
WIDTHS = {
    "plan": 0,
    "default": 1,
    "dontAsk": 1,
    "ask": 2,
    "acceptEdits": 3,
    "bypassPermissions": 4,
}


@dataclass(frozen=True)
class ToolConfig:
    """What an agent may do at most. None sets no limit.

    `allowed_tools` are the only tools that may be used, `disallowed_tools` are permission rules
    that deny, `max_turns` limits the rounds of tool use, and `mcp_servers` the MCP servers.
    """

    allowed_tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] | None = None
    permission_mode: str | None = None
    max_turns: int | None = None
    mcp_servers: tuple[str, ...] | None = None

    def limits(self) -> dict[str, Any]:
        """Return the limits that are set, by name, with lists in place of tuples."""
        limits = {name: value for name, value in vars(self).items() if value is not None}
        return {n: [*value] if isinstance(value, tuple) else value for n, value in limits.items()}

    def within(self, most: ToolConfig) -> ToolConfig:
        """Return this config without what goes beyond *most*. What it leaves out stays so."""
        tools, mode, turns = self.allowed_tools, self.permission_mode, self.max_turns
        if tools is not None and most.allowed_tools is not None:
            tools = tuple(
                tool for tool in tools if tool in most.allowed_tools or tool.startswith("mcp__")
            )
        if mode and most.permission_mode and WIDTHS[mode] > WIDTHS[most.permission_mode]:
            mode = most.permission_mode
        if turns is not None and most.max_turns is not None:
            turns = min(turns, most.max_turns)
        servers = self.mcp_servers
        if servers is not None and most.mcp_servers is not None:
            servers = tuple(name for name in servers if name in most.mcp_servers)
        return ToolConfig(tools, self.disallowed_tools, mode, turns, servers)


NO_CONFIG = ToolConfig()
