"""The policy: checks what a request asks for against the settings and the caller's limits.

Where a request leaves something out, it gets as much as both allow. A request for more than that is
refused, and the error names the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NoReturn

from wrapper.errors import ApiError, InvalidRequest, PermissionDenied
from wrapper.services.catalog import Catalog
from wrapper.services.limits.bounds import Bound, Bounds, bounds_of
from wrapper.services.limits.mcp_policy import (
    GetServers,
    GetStates,
    McpPolicy,
    with_servers,
    without_mcp_rules,
)
from wrapper.services.permissions.approvable import approvable
from wrapper.services.permissions.rules import is_rule, split_rules
from wrapper.services.principal import Principal
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.tools.config import NO_CONFIG, WIDTHS, ToolConfig
from wrapper.services.tools.mcp import McpServer
from wrapper.services.turn import Approvable, Permissions
from wrapper.settings import Settings


class Policy:
    """Grants requests what they may use. All methods raise PermissionDenied for anything else."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        mcp_servers: GetServers = dict,
        mcp_states: GetStates = lambda servers: {},
    ):
        self._settings = settings
        self._mcp = McpPolicy(settings, mcp_servers, mcp_states)
        self._catalog = catalog
        self._allowed_rules = split_rules(settings.claude_allowed_tools)

    def grant(
        self,
        request: TurnRequest,
        model: str,
        principal: Principal,
        config: ToolConfig = NO_CONFIG,
    ) -> Grant:
        """Return what *request*, which *model* runs in a session with *config*, may use.

        Raises InvalidRequest where it asks for something that does not exist.
        """
        self.check_model(model, principal)
        for name in ("concurrent_turns", "user_concurrent_turns"):
            most = getattr(principal, name)
            if most is not None and request.answers > most:
                _refuse_by_key("n", request.answers, name, most, principal)
        bounds = bounds_of(self._settings, principal, config)
        self._check_server_tools(request, bounds)
        profile = self._profile(request, principal)
        if profile == "plain":
            _check_plain(request)
            return Grant(profile)
        return self._agent_grant(request, principal, bounds)

    def check_config(self, config: ToolConfig, principal: Principal, bounds: Bounds) -> None:
        """Check that *config* asks for nothing beyond *bounds*, and for nothing that is unknown.

        Raises InvalidRequest for the latter.
        """
        try:
            self._agent_grant(TurnRequest((), **vars(config)), principal, bounds)
        except ApiError as error:
            raise error.relocated(lambda path: path.removeprefix("claude.")) from None

    def most(self, principal: Principal, config: ToolConfig) -> ToolConfig:
        """Return the most that an agent of *principal* may do in a session with *config*."""
        return bounds_of(self._settings, principal, config).most()

    def mcp_servers(
        self, principal: Principal, bounds: Bounds | None = None
    ) -> tuple[McpServer, ...]:
        """Return the MCP servers that *principal* may use, with only the tools that they may.

        The *bounds* default to those of their key.
        """
        return self._mcp.usable(principal, bounds or bounds_of(self._settings, principal))

    def check_model(self, model: str, principal: Principal) -> None:
        """Raise PermissionDenied where *principal* may not use *model*."""
        if not self.may_run(model, principal):
            most = ", ".join(principal.models or ()) or "none"
            _refuse_by_key("model", model[:100], "models", most, principal)

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

    def _check_server_tools(self, request: TurnRequest, bounds: Bounds) -> None:
        """Refuse a tool that runs at the provider, unless the settings and each bound name it."""
        if not request.server_tools:
            return
        settings, tools = bounds.each[0].allows, self._settings.messages_server_tools
        limits = [(settings, "MESSAGES_SERVER_TOOLS", tools)]
        for bound in bounds.each[1:]:
            if (named := bound.most.allowed_tools) is not None:
                limits.append((bound.allows, bound.name_of("allowed_tools"), named))
        for who, name, most in limits:
            for tool in request.server_tools:
                if tool not in most:
                    _raise_denied("tools", tool[:100], who, name, ", ".join(most) or "none")

    def _profile(self, request: TurnRequest, principal: Principal) -> str:
        plain = principal.profile == "plain"
        if plain and request.profile == "agent":
            _refuse_by_key("claude.profile", "agent", "profile", "plain", principal)
        plain = plain or request.wants_plain
        return request.profile or ("plain" if plain else self._settings.default_profile)

    def _agent_grant(self, request: TurnRequest, principal: Principal, bounds: Bounds) -> Grant:
        servers = self._mcp.grant(request, principal, bounds)
        permissions = self._permissions(without_mcp_rules(request), principal, bounds)
        return Grant(
            "agent",
            with_servers(permissions, servers, request),
            tools=bool(self._settings.claude_tools or servers),
            mcp_servers=servers,
        )

    def _permissions(
        self, request: TurnRequest, principal: Principal, bounds: Bounds
    ) -> Permissions:
        denied = request.disallowed_tools or ()
        self._check_rules(denied)
        usable, allowed = _tools(request.allowed_tools, bounds), principal.allowed_tools
        mode, most = _mode(request.permission_mode, bounds), _max_turns(request.max_turns, bounds)
        if most is None and principal.has_budget:
            most = self._settings.budget_max_turns
        return Permissions(
            allow=self._allowed_rules if allowed is None else allowed,
            deny=(
                *(tool for tool in self._settings.claude_tools if tool not in usable),
                *bounds.denied(),
                *denied,
            ),
            mode=self._own_mode(mode),
            max_turns=most,
            approvable=self._approvable(mode, bounds),
        )

    def _own_mode(self, mode: str) -> str | None:
        """Return a turn's mode. Claude Code's processes have that of the settings already."""
        return None if mode == self._settings.claude_permission_mode != "ask" else mode

    def _approvable(self, mode: str, bounds: Bounds) -> Approvable:
        if mode != "ask":
            return "nothing"
        return approvable(self._settings, edits_only=bounds.edits_only() is not None)

    def _check_rules(self, rules: Iterable[str]) -> None:
        """Refuse a rule that denies nothing, because its author meant to deny something."""
        for index, rule in enumerate(rules):
            if not is_rule(rule, self._settings.claude_tools):
                tools = ", ".join(self._settings.claude_tools) or "none"
                why = f"{rule[:80]!r} is no rule for one of the tools here ({tools})"
                raise _mistake(f"claude.disallowed_tools.{index}", why)


def _check_plain(request: TurnRequest) -> None:
    """Refuse what only an agent can have."""
    for name in ("allowed_tools", "mcp_servers"):
        if getattr(request, name):
            raise _mistake(f"claude.{name}", "the profile plain has no tools; ask for agent")


def _tools(asked: tuple[str, ...] | None, bounds: Bounds) -> tuple[str, ...]:
    """Return the tools that may be used: those *asked* for, or all within *bounds*."""
    bound, usable = bounds.tools()
    if asked is None:
        return tuple(sorted(usable))
    if beyond := sorted(set(asked) - usable):
        most = ", ".join(sorted(usable)) or "none"
        _refuse("claude.allowed_tools", ", ".join(beyond)[:200], bound, most)
    return asked


def _mode(asked: str | None, bounds: Bounds) -> str:
    bound, most = bounds.mode()
    if asked and WIDTHS[asked] > WIDTHS[most]:
        _refuse("claude.permission_mode", asked, bound, most)
    return asked or most


def _max_turns(asked: int | None, bounds: Bounds) -> int | None:
    bound, most = bounds.max_turns()
    if asked is not None and most is not None and asked > most:
        _refuse("claude.max_turns", asked, bound, most)
    return most if asked is None else asked


def _refuse(param: str, asked: object, bound: Bound, most: object) -> NoReturn:
    name = bound.name_of(param.rpartition(".")[2])
    _raise_denied(param, asked, bound.allows, name, most)


def _refuse_by_key(
    param: str, asked: object, name: str, most: object, principal: Principal
) -> NoReturn:
    _raise_denied(param, asked, f"the key {principal.name!r} allows", name, most)


def _raise_denied(param: str, asked: object, who: str, name: str, most: object) -> NoReturn:
    raise PermissionDenied(
        f"{param}: {asked} was asked for, but {who} no more than {most} ({name}).", param=param
    )


def _mistake(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: {why}", param=param, code="invalid_value")
