"""Whether a caller's agents may use a tool of an MCP server, and which rule decides that."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from wrapper.services.limits.bounds import Bounds
from wrapper.services.limits.tool_access import APPROVAL, NOBODY, Access
from wrapper.services.permissions.rules import split_rules
from wrapper.services.principal import Principal
from wrapper.services.tools.mcp import McpServer, forbid, narrow
from wrapper.settings import Settings

# The source and the name of a list, and the rules in it.
Rules = tuple[str, str, Collection[str]]


class McpToolAccess:
    """What *principal*'s agents may use, within *bounds*, of the servers that they may use."""

    def __init__(self, settings: Settings, principal: Principal, bounds: Bounds):
        self._settings = settings
        self._principal = principal
        self._bounds = bounds

    def of(self, server: McpServer, tool: str) -> Access:
        """Return whether the *tool* of *server* may be used."""
        whole, name = replace(server, tools=None, denied=()), server.tool_name(tool)
        for source, limit, rules in self._limiting():
            if not narrow(whole, rules).permits(tool):
                return Access("denied", f"{name} is not in that list.", source, limit)
        for source, limit, rules in self._denying():
            if not forbid(whole, rules).permits(tool):
                return Access("denied", f"A rule denies {name}.", source, limit)
        bound, mode = self._bounds.mode()
        if mode == "plan":
            rule = bound.source, bound.name_of("permission_mode")
            return Access("denied", f"The mode is {mode}; {NOBODY}.", *rule)
        if mode == "ask":
            rule = bound.source, bound.name_of("permission_mode")
            return Access("needs_approval", APPROVAL, *rule)
        if self._principal.shares:
            return Access("allowed", "The key may use the server.", "key", "mcp_servers")
        return Access("allowed", "The server may be used.", "settings", "MCP_CONFIG")

    def _limiting(self) -> Iterator[Rules]:
        """Yield the lists that limit a server to the tools that they name, if they name any."""
        own = self._principal.allowed_tools
        if own is None:
            rules = split_rules(self._settings.claude_allowed_tools)
            yield "settings", "CLAUDE_ALLOWED_TOOLS", rules
        else:
            yield "key", "allowed_tools", own
        for bound in self._bounds.each[1:]:
            name = bound.name_of("allowed_tools")
            yield bound.source, name, bound.most.allowed_tools or ()

    def _denying(self) -> Iterator[Rules]:
        rules = split_rules(self._settings.claude_disallowed_tools)
        yield "settings", "CLAUDE_DISALLOWED_TOOLS", rules
        for bound in self._bounds.each:
            name = bound.name_of("disallowed_tools")
            yield bound.source, name, bound.most.disallowed_tools or ()
