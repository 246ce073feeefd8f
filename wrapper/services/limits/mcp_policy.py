"""The policy for MCP servers: which ones a request uses, and which of their tools."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from wrapper.errors import InvalidRequest, PermissionDenied
from wrapper.services.limits.bounds import Bounds
from wrapper.services.limits.brought_servers import BroughtServersPolicy
from wrapper.services.permissions.rules import split_rules
from wrapper.services.principal import Principal
from wrapper.services.request import TurnRequest
from wrapper.services.tools.mcp import McpServer, forbid, narrow, normalise, read_rule
from wrapper.services.tools.mcp_state import ServerState
from wrapper.services.turn import Permissions
from wrapper.settings import Settings

# Returns the servers of MCP_CONFIG by name, as they are now.
GetServers = Callable[[], Mapping[str, McpServer]]
# Returns the states of servers by name, as far as they are known, without waiting.
GetStates = Callable[[Sequence[McpServer]], Mapping[str, ServerState]]


class McpPolicy:
    """Grants requests MCP servers, of those that *servers* returns; *states* knows their tools.

    A list of tools or of rules that allow limits a server to the tools that it names, if it names
    any of that server.
    """

    def __init__(self, settings: Settings, servers: GetServers, states: GetStates):
        self._default = settings.mcp_default_servers
        self._allowed_rules = split_rules(settings.claude_allowed_tools)
        self._denied_rules = split_rules(settings.claude_disallowed_tools)
        self._servers = servers
        self._brought = BroughtServersPolicy(settings)
        self._states = states

    def usable(self, principal: Principal, bounds: Bounds) -> tuple[McpServer, ...]:
        """Return the servers that *principal* may use, each with only the tools that they may."""
        if not (servers := self._servers()):
            return ()
        names = bounds.mcp_servers()
        usable = (
            server
            for server in servers.values()
            if _matches(server.name, principal.mcp_servers)
            and (names is None or server.name in names)
        )
        return self._limited(usable, principal, bounds)

    def grant(
        self, request: TurnRequest, principal: Principal, bounds: Bounds
    ) -> tuple[McpServer, ...]:
        """Return the servers that an agent's *request* uses.

        Raises PermissionDenied for a server or tool that *principal* may not use, and
        InvalidRequest for a server or tool that does not exist.
        """
        own = self.usable(principal, bounds)
        brought = self._brought.grant(request, principal, bounds, own)
        usable = {
            server.name: server for server in (*own, *self._limited(brought, principal, bounds))
        }
        if request.mcp_servers is None:
            names = [name for name in usable if _matches(name, self._default)]
        else:
            names = list(dict.fromkeys(request.mcp_servers))
            for index, name in enumerate(request.mcp_servers):
                named = request.named_servers.get(name)
                param = named.path if named else f"claude.mcp_servers.{index}"
                _check_server(param, name, usable, principal)
        servers = [usable[name] for name in names]
        for param in ("allowed_tools", "disallowed_tools"):
            rules = getattr(request, param) or ()
            _check_rules(param, rules, usable.values())
            self._check_tools(param, rules, own)
        servers = [narrow(server, request.allowed_tools or ()) for server in servers]
        if (request.permission_mode or bounds.mode()[1]) == "plan":
            # There no approval lets them run.
            return tuple(replace(server, unasked=None) for server in servers)
        return tuple(_as_named(server, request) for server in servers)

    def _limited(
        self, servers: Iterable[McpServer], principal: Principal, bounds: Bounds
    ) -> tuple[McpServer, ...]:
        """Return *servers* with only the tools that *principal* may use."""
        allowed = principal.allowed_tools
        lists = [
            self._allowed_rules if allowed is None else allowed,
            *(bound.most.allowed_tools or () for bound in bounds.each[1:]),
        ]
        denied = (*self._denied_rules, *bounds.denied())
        return tuple(forbid(_narrowed(server, lists), denied) for server in servers)

    def _check_tools(self, param: str, rules: Sequence[str], own: Collection[McpServer]) -> None:
        """Refuse a rule for a tool that its server does not have, as far as its tools are known.

        What is known is of the gateway's *own* servers.
        """
        known: dict[str, frozenset[str]] = {}
        for index, text in enumerate(rules):
            rule = read_rule(text)
            server = next((server for server in own if rule and rule.names(server)), None)
            if server is None or not (rule and rule.tool):
                continue
            if server.name not in known:
                state = self._states([server]).get(server.name)
                known[server.name] = frozenset(map(normalise, state.tools if state else ()))
            names = known[server.name]
            if names and rule.tool not in names:
                path = f"claude.{param}.{index}"
                raise InvalidRequest(
                    f"{path}: the MCP server {server.name!r} has no tool {rule.tool[:80]!r}; it "
                    f"has: {', '.join(sorted(names))[:400]}.",
                    param=path,
                    code="invalid_value",
                )


def without_mcp_rules(request: TurnRequest) -> TurnRequest:
    """Return *request* with only the tools and rules that are about Claude Code's own tools."""
    allowed, denied = request.allowed_tools, request.disallowed_tools
    if not (allowed or denied):
        return request
    return replace(
        request,
        allowed_tools=None if allowed is None else tuple(_own(allowed)),
        disallowed_tools=None if denied is None else tuple(_own(denied)),
    )


def with_servers(
    permissions: Permissions, servers: Sequence[McpServer], request: TurnRequest
) -> Permissions:
    """Return *permissions* that also allow the tools of *servers*, save those *request* denies.

    In the mode ask they need approval.
    """
    if not (servers or request.disallowed_tools):
        return permissions
    denied = [rule for rule in request.disallowed_tools or () if read_rule(rule)]
    asks = permissions.mode == "ask"
    allowed = [rule for server in servers for rule in server.rules if not asks]
    return replace(
        permissions, allow=(*permissions.allow, *allowed), deny=(*permissions.deny, *denied)
    )


def _own(rules: Iterable[str]) -> Iterator[str]:
    return (rule for rule in rules if read_rule(rule) is None)


def _as_named(server: McpServer, request: TurnRequest) -> McpServer:
    named = request.named_servers.get(server.name)
    return replace(server, unasked=named.unasked) if named else server


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _narrowed(server: McpServer, lists: Iterable[Collection[str]]) -> McpServer:
    for rules in lists:
        server = narrow(server, rules)
    return server


def _check_server(param: str, name: str, usable: Collection[str], principal: Principal) -> None:
    if name in usable:
        return
    # Whether a server exists that the caller may not use is not told.
    if not _matches(name, principal.mcp_servers):
        most = ", ".join(principal.mcp_servers) or "none"
        raise PermissionDenied(
            f"{param}: {name[:80]!r} was asked for, but the key {principal.name!r} allows no more "
            f"than {most} (mcp_servers).",
            param=param,
        )
    known = ", ".join(usable) or "none"
    raise InvalidRequest(
        f"{param}: there is no MCP server {name[:80]!r}; the servers are: {known[:400]}.",
        param=param,
        code="invalid_value",
    )


def _check_rules(param: str, rules: Sequence[str], usable: Collection[McpServer]) -> None:
    """Refuse a rule for a server, or leave for a tool, that the caller may not use."""
    for index, text in enumerate(rules):
        rule = read_rule(text)
        if rule is None:
            continue
        path = f"claude.{param}.{index}"
        server = next((server for server in usable if rule.names(server)), None)
        if server is None:
            raise InvalidRequest(
                f"{path}: {text[:80]!r} is about no MCP server that may be used here; "
                "GET /v1/mcp/servers lists these.",
                param=path,
                code="invalid_value",
            )
        if param == "allowed_tools" and rule.tool and not server.permits(rule.tool):
            raise PermissionDenied(
                f"{path}: {text[:80]!r} was asked for, but of this server only "
                f"{', '.join(server.rules)[:400]} may be used.",
                param=path,
            )
