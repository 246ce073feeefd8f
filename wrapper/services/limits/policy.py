"""The policy: checks what a request asks for against the settings and the caller's limits.

Where a request leaves something out, it gets as much as both allow. A request for more than that is
refused, and the error names the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NoReturn

from wrapper.errors import InvalidRequest, PermissionDenied
from wrapper.services.catalog import Catalog
from wrapper.services.limits.mcp_policy import (
    GetServers,
    McpPolicy,
    with_servers,
    without_mcp_rules,
)
from wrapper.services.mcp.server import McpServer
from wrapper.services.permissions.rules import is_rule, split_rules
from wrapper.services.principal import Principal
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.turn import Permissions
from wrapper.settings import Settings

# How much tools may do in each permission mode when nobody can be asked.
WIDTHS = {"plan": 0, "default": 1, "dontAsk": 1, "acceptEdits": 2, "bypassPermissions": 3}


class Policy:
    """Grants requests what they may use. All methods raise PermissionDenied for anything else."""

    def __init__(self, settings: Settings, catalog: Catalog, mcp_servers: GetServers = dict):
        self._settings = settings
        self._mcp = McpPolicy(settings, mcp_servers)
        self._catalog = catalog
        self._allowed_rules = split_rules(settings.claude_allowed_tools)

    def grant(self, request: TurnRequest, model: str, principal: Principal) -> Grant:
        """Return what *request*, which *model* runs, may use.

        Raises InvalidRequest where it asks for something that does not exist.
        """
        self.check_model(model, principal)
        most = principal.concurrent_turns
        if most is not None and request.answers > most:
            _refuse("n", request.answers, "concurrent_turns", most, principal)
        self._check_server_tools(request, principal)
        profile = self._profile(request, principal)
        if profile == "plain":
            _check_plain(request)
            return Grant(profile)
        servers = self._mcp.grant(request, principal)
        permissions = self._permissions(without_mcp_rules(request), principal)
        return Grant(
            profile,
            with_servers(permissions, servers, request),
            tools=bool(self._settings.claude_tools or servers),
            mcp_servers=servers,
        )

    def mcp_servers(self, principal: Principal) -> tuple[McpServer, ...]:
        """Return the MCP servers that *principal* may use, with only the tools that they may."""
        return self._mcp.usable(principal)

    def check_model(self, model: str, principal: Principal) -> None:
        """Raise PermissionDenied where *principal* may not use *model*."""
        if not self.may_run(model, principal):
            most = ", ".join(principal.models or ()) or "none"
            _refuse("model", model[:100], "models", most, principal)

    def may_run(self, model: str, principal: Principal) -> bool:
        """Say whether *principal* may use *model*, by this name or by the model that it runs."""
        if principal.models is None:
            return True
        runs = self._catalog.resolve(model)
        return any(
            model == allowed  # brackets, as in sonnet[1m], do not always mean a pattern
            or fnmatchcase(model, allowed)
            or fnmatchcase(runs, allowed)
            or runs == self._catalog.resolve(allowed)
            for allowed in principal.models
        )

    def _check_server_tools(self, request: TurnRequest, principal: Principal) -> None:
        """Refuse a tool that runs at the provider, unless both settings and key name it."""
        limits = {"MESSAGES_SERVER_TOOLS": self._settings.messages_server_tools}
        if principal.tools is not None:
            limits["tools"] = principal.tools
        for named, most in limits.items():
            for tool in request.server_tools:
                if tool not in most:
                    _refuse("tools", tool[:100], named, ", ".join(most) or "none", principal)

    def _profile(self, request: TurnRequest, principal: Principal) -> str:
        plain = principal.profile == "plain"
        if plain and request.profile == "agent":
            _refuse("claude.profile", "agent", "profile", "plain", principal)
        plain = plain or request.wants_plain
        return request.profile or ("plain" if plain else self._settings.default_profile)

    def _permissions(self, request: TurnRequest, principal: Principal) -> Permissions:
        usable = self._tools(request, principal)
        denied = request.disallowed_tools or ()
        self._check_rules(denied)
        allowed = principal.allowed_tools
        return Permissions(
            allow=self._allowed_rules if allowed is None else allowed,
            deny=(
                *(tool for tool in self._settings.claude_tools if tool not in usable),
                *(principal.disallowed_tools or ()),
                *denied,
            ),
            mode=self._mode(request, principal),
            max_turns=self._max_turns(request, principal),
        )

    def _tools(self, request: TurnRequest, principal: Principal) -> frozenset[str]:
        """Return the tools that may be used: those asked for, or all that the key allows."""
        usable = frozenset(self._settings.claude_tools)
        named, by = "CLAUDE_TOOLS", usable
        if principal.tools is not None:
            named, by = "tools", usable.intersection(principal.tools)
        asked = by if request.allowed_tools is None else frozenset(request.allowed_tools)
        if beyond := sorted(asked - by):
            most = ", ".join(sorted(by)) or "none"
            _refuse("claude.allowed_tools", ", ".join(beyond)[:200], named, most, principal)
        return asked

    def _mode(self, request: TurnRequest, principal: Principal) -> str | None:
        """Return the permission mode to set, or None where the process has it already."""
        ours = self._settings.claude_permission_mode
        key, asked = principal.permission_mode or ours, request.permission_mode
        named, most = "CLAUDE_PERMISSION_MODE", ours
        if WIDTHS[key] < WIDTHS[ours]:
            named, most = "permission_mode", key
        if asked and WIDTHS[asked] > WIDTHS[most]:
            _refuse("claude.permission_mode", asked, named, most, principal)
        mode = asked or most
        return None if mode == ours else mode

    def _max_turns(self, request: TurnRequest, principal: Principal) -> int | None:
        asked, most = request.max_turns, principal.max_turns
        if asked is not None and most is not None and asked > most:
            _refuse("claude.max_turns", asked, "max_turns", most, principal)
        if most is None and principal.has_budget:
            most = self._settings.budget_max_turns
        return asked if asked is not None else most

    def _check_rules(self, rules: Iterable[str]) -> None:
        """Refuse a rule that denies nothing, because its author meant to deny something."""
        for index, rule in enumerate(rules):
            if not is_rule(rule, self._settings.claude_tools):
                tools = ", ".join(self._settings.claude_tools) or "none"
                why = f"{rule[:80]!r} is no rule for one of the tools here ({tools})"
                raise _mistake(f"disallowed_tools.{index}", why)


def _check_plain(request: TurnRequest) -> None:
    """Refuse what only an agent can have."""
    for name in ("allowed_tools", "mcp_servers"):
        if getattr(request, name):
            raise _mistake(name, "the profile plain has no tools; ask for agent")


def _refuse(param: str, asked: object, named: str, most: object, principal: Principal) -> NoReturn:
    whose = (
        f"the key {principal.name!r} allows" if named.islower() else "the gateway's settings allow"
    )
    raise PermissionDenied(
        f"{param}: {asked} was asked for, but {whose} no more than {most} ({named}).", param=param
    )


def _mistake(name: str, why: str) -> InvalidRequest:
    param = f"claude.{name}"
    return InvalidRequest(f"{param}: {why}", param=param, code="invalid_value")
