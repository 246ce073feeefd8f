"""An MCP server: its configuration, and the names that Claude Code gives its tools."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

PREFIX = "mcp__"
# What Claude Code replaces by an underscore in the names of servers and tools.
_REPLACED = re.compile(r"[^A-Za-z0-9_-]")
_RULE = re.compile(r"mcp__(?P<server>(?:(?!__)[A-Za-z0-9_-])+)(?:__(?P<tool>\*|[A-Za-z0-9_-]+))?")


def normalise(name: str) -> str:
    """Return *name* as it stands in the names of tools."""
    return _REPLACED.sub("_", name)


@dataclass(frozen=True)
class McpServer:
    """A server of MCP_CONFIG, or one that a caller brings. `config` has its secrets.

    Only `tools` may be used, by their own names as they stand in rules; None for all. None of those
    `denied` may be. Those that are not `unasked` end the turn with a call that the client is to
    approve; with None there are none. `brought` is the path of the parameter that brings a caller's
    server: Claude Code connects to other servers itself, and to such a one through the gateway.
    `private` says that its host may have an address that is not public.
    """

    name: str
    config: Mapping[str, Any] = field(repr=False)
    tools: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()
    unasked: tuple[str, ...] | None = None
    brought: str = ""
    private: bool = False

    @property
    def kind(self) -> str:
        """Return stdio, http or sse."""
        return str(self.config["type"])

    @cached_property
    def rule(self) -> str:
        """Return the permission rule for all of its tools."""
        return f"{PREFIX}{normalise(self.name)}"

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the permission rules for the tools that may be used."""
        if self.tools is None:
            return (self.rule,)
        return tuple(f"{self.rule}__{tool}" for tool in self.tools)

    def tool_name(self, tool: str) -> str:
        """Return the name of its *tool*, as the model and rules have it."""
        return tool_named(self.name, tool)

    def permits(self, tool: str) -> bool:
        """Say whether its *tool* may be used."""
        name = normalise(tool)
        return name not in self._denied and (self.tools is None or name in self._tools)

    def needs_approval(self, tool: str) -> bool:
        """Say whether the client is asked before its *tool* runs."""
        return self.unasked is not None and normalise(tool) not in self._unasked

    # Each may be asked about thousands of tools, and hold as many.
    @cached_property
    def _tools(self) -> frozenset[str]:
        return frozenset(self.tools or ())

    @cached_property
    def _denied(self) -> frozenset[str]:
        return frozenset(self.denied)

    @cached_property
    def _unasked(self) -> frozenset[str]:
        return frozenset(self.unasked or ())

    def with_headers(self, headers: Mapping[str, str]) -> McpServer:
        """Return the server with *headers*, besides its own, if a caller brings it.

        Others are the same for all turns of a process.
        """
        if not self.brought:
            return self
        own = self.config["headers"]
        taken = {name.lower() for name in own}
        more = {name: value for name, value in headers.items() if name not in taken}
        return replace(self, config={**self.config, "headers": {**own, **more}})

    def without_secrets(self, text: str) -> str:
        """Return *text* without what `config` keeps secret: headers, variables, arguments, URL."""
        for secret in sorted(_secrets(self.config), key=len, reverse=True):
            text = text.replace(secret, "********")
        return text


@dataclass(frozen=True)
class NamedServer:
    """How a request names a server of the gateway: the `path` of its parameter, and its tools that
    run `unasked`; see McpServer."""

    path: str
    unasked: tuple[str, ...] | None = None


def tool_named(server: str, tool: str) -> str:
    """Return the name of a *tool* of a *server*, both by name, as the model and rules have it."""
    return f"{PREFIX}{normalise(server)}__{normalise(tool)}"


@dataclass(frozen=True)
class McpTool:
    """A `tool` of the MCP `server` of this name."""

    server: str
    tool: str


def find_asked(servers: Iterable[McpServer], name: str) -> McpTool | None:
    """Return the tool that has this *name* for the model, if the client must approve its calls."""
    for server in servers:
        tool = name.removeprefix(f"{server.rule}__")
        if tool != name:
            return McpTool(server.name, tool) if server.needs_approval(tool) else None
    return None


@dataclass(frozen=True)
class McpRule:
    """A permission rule for tools of MCP servers. A `tool` of "" means all tools of the server."""

    server: str
    tool: str = ""

    def names(self, server: McpServer) -> bool:
        """Say whether it is a rule for *server* or a tool of it."""
        return f"{PREFIX}{self.server}" == server.rule


def read_rule(text: str) -> McpRule | None:
    """Return what the rule *text* names, or None if it is no rule for tools of an MCP server."""
    match = _RULE.fullmatch(text)
    if match is None:
        return None
    tool = match["tool"] or ""
    return McpRule(match["server"], "" if tool == "*" else tool)


def narrow(server: McpServer, rules: Collection[str]) -> McpServer:
    """Return *server* with only the tools that *rules* name, if they name any of it."""
    read = [rule for rule in map(read_rule, rules) if rule and rule.names(server)]
    if not read or any(not rule.tool for rule in read):
        return server
    named = tuple(dict.fromkeys(rule.tool for rule in read))
    if server.tools is None:
        return replace(server, tools=named)
    usable = frozenset(server.tools)
    return replace(server, tools=tuple(tool for tool in named if tool in usable))


def forbid(server: McpServer, rules: Iterable[str]) -> McpServer:
    """Return *server* without the tools that *rules* name."""
    read = [rule for rule in map(read_rule, rules) if rule and rule.names(server)]
    if any(not rule.tool for rule in read):
        return replace(server, tools=())
    return replace(server, denied=(*server.denied, *(rule.tool for rule in read)))


def _secrets(config: Mapping[str, Any]) -> set[str]:
    values = [
        *config.get("headers", {}).values(),
        *config.get("env", {}).values(),
        *config.get("args", ()),
        config.get("url", ""),
    ]
    # A shorter text would hide words that it is a part of, and is no secret.
    return {value for value in values if len(value) > 3}
