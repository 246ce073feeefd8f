"""The policy for MCP servers that requests bring: which hosts these may be on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from wrapper.errors import InvalidRequest, PermissionDenied
from wrapper.services.limits.bounds import Bounds
from wrapper.services.principal import Principal
from wrapper.services.request import TurnRequest
from wrapper.services.tools.mcp import McpServer
from wrapper.settings import Settings


class BroughtServersPolicy:
    """Allows servers on hosts that the settings, the key and tool configs allow."""

    def __init__(self, settings: Settings):
        self._hosts = settings.mcp_caller_hosts
        self._private_hosts = frozenset(map(str.lower, settings.mcp_private_hosts))

    def grant(
        self,
        request: TurnRequest,
        principal: Principal,
        bounds: Bounds,
        others: Iterable[McpServer],
    ) -> Iterator[McpServer]:
        """Yield the servers that *request* brings, which have other names than *others*.

        Raises PermissionDenied for one that *principal* may not bring, and InvalidRequest.
        """
        rules = {server.rule for server in others}
        for server in request.brought_servers:
            self._check(server, principal, bounds)
            if server.rule in rules:
                raise InvalidRequest(
                    f"{server.brought}: the gateway has a server {server.name!r} itself; give "
                    "yours another name.",
                    param=server.brought,
                    code="invalid_value",
                )
            yield replace(server, private=_host(server) in self._private_hosts)

    def _check(self, server: McpServer, principal: Principal, bounds: Bounds) -> None:
        limits = (
            ("the gateway's settings allow", "MCP_CALLER_HOSTS", self._hosts),
            (f"the key {principal.name!r} allows", "mcp_hosts", principal.mcp_hosts),
        )
        host = _host(server)
        for who, name, hosts in limits:
            if not any(fnmatchcase(host, pattern.lower()) for pattern in hosts):
                most = f"servers on the hosts {', '.join(hosts)}" if hosts else "none"
                raise _denied(server, who, most, name)
        for bound in bounds.each:
            if (names := bound.most.mcp_servers) is not None:
                raise _denied(server, bound.allows, ", ".join(names) or "none", "mcp_servers")


def _host(server: McpServer) -> str:
    return (urlsplit(server.config["url"]).hostname or "").rstrip(".")


def _denied(server: McpServer, who: str, most: str, name: str) -> PermissionDenied:
    return PermissionDenied(
        f"{server.brought}: the request brings the MCP server {server.name!r} on the host "
        f"{_host(server)[:100]!r}, but {who} no more than {most} ({name}).",
        param=server.brought,
    )
