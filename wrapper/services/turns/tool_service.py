"""The tool service: lists the tools of a caller's agents, and reads and sets tool configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wrapper.errors import InvalidRequest
from wrapper.services.engine import Engine
from wrapper.services.limits.bounds import Bounds, bounds_of
from wrapper.services.limits.mcp_access import McpToolAccess
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.tool_access import Access, ToolAccess
from wrapper.services.permissions.rules import split_rules
from wrapper.services.principal import Principal
from wrapper.services.sessions.service import SessionService
from wrapper.services.sessions.session import SessionInfo
from wrapper.services.tools.config import NO_CONFIG, ToolConfig
from wrapper.services.tools.mcp_state import MOST_DESCRIBED, ConnectsServers, ServerState
from wrapper.services.tools.tool import MCP_ORIGIN, OffersTools, Tool
from wrapper.settings import Settings

# How long a listing waits for MCP servers whose tools are not known yet.
MCP_SECONDS = 10.0


@dataclass(frozen=True)
class Listing:
    """Tools with the access to them. `unlisted` says by origin why its tools are missing."""

    tools: Sequence[tuple[Tool, Access]]
    unlisted: Mapping[str, str]


@dataclass(frozen=True)
class ConfigState:
    """A tool `config`, and the `effective` one: what the other limits leave of it."""

    config: ToolConfig
    effective: ToolConfig


class ToolService:
    """The tools of *engine*, which *policy* grants, and their configs in *sessions*."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        policy: Policy,
        sessions: SessionService | None,
    ):
        self._settings = settings
        self._engine = engine
        self._policy = policy
        self._sessions = sessions

    def tools(self, principal: Principal, session_id: str | None = None) -> Listing:
        """Return every tool that agents may have, and whether this caller's may use it.

        Of MCP servers it has those that the caller may use.

        With a session, the answer holds for its next turn. Raises ApiError.
        """
        info = self._info(principal, session_id) if session_id is not None else None
        bounds = self._bounds(principal, info)
        plain = info is not None and info.options.profile == "plain"
        access = ToolAccess(self._settings, principal, bounds, plain=plain)
        tools = self._engine.tools() if isinstance(self._engine, OffersTools) else ()
        own = [(tool, access.of(tool.name)) for tool in tools]
        listing = self._mcp_tools(principal, bounds, access.without_tools())
        return Listing([*own, *listing.tools], listing.unlisted)

    def _mcp_tools(self, principal: Principal, bounds: Bounds, denied: Access | None) -> Listing:
        """Return the tools of MCP servers. If any of them is *denied*, all are."""
        servers = self._policy.mcp_servers(principal, bounds)
        if not (servers and isinstance(self._engine, ConnectsServers)):
            return Listing((), {})
        states = self._engine.mcp_states(servers, MCP_SECONDS)
        access = McpToolAccess(self._settings, principal, bounds)
        tools, unlisted = [], {}
        for server in servers:
            state = states.get(server.name)
            for tool in state.described if state else ():
                own_name = tool.name.removeprefix(f"{server.rule}__")
                tools.append((tool, denied or access.of(server, own_name)))
            if not (state and state.described):
                unlisted[f"{MCP_ORIGIN}{server.name}"] = _why_unlisted(state)
        return Listing(tools, unlisted)

    def key_config(self, principal: Principal) -> ConfigState:
        """Return the tool config of a key."""
        return self._state(principal.config or NO_CONFIG, self._bounds(principal))

    def session_config(self, principal: Principal, session_id: str) -> ConfigState:
        """Return the tool config of the caller's session. Raises SessionNotFound."""
        info = self._info(principal, session_id)
        return self._state(info.tool_config, self._bounds(principal, info))

    def check_key_config(self, principal: Principal, config: ToolConfig) -> None:
        """Check that *config* is within what the settings and the key itself allow.

        Raises PermissionDenied, or InvalidRequest for a rule that no tool here has.
        """
        bounds = self._bounds(replace(principal, config=None))
        self._policy.check_config(config, principal, bounds)

    def set_session_config(
        self, principal: Principal, session_id: str, config: ToolConfig
    ) -> ConfigState:
        """Set what limits the agents of the caller's session, from its next turn on.

        Raises PermissionDenied where it is beyond the settings and the key, InvalidRequest,
        SessionNotFound, or Conflict while a turn of the session runs.
        """
        self._policy.check_config(config, principal, self._bounds(principal))
        info = self._session_service().configure(principal, session_id, config)
        return self._state(config, self._bounds(principal, info))

    def _state(self, config: ToolConfig, bounds: Bounds) -> ConfigState:
        most = bounds.most()
        denied = (
            *split_rules(self._settings.claude_disallowed_tools),
            *(most.disallowed_tools or ()),
        )
        return ConfigState(config, replace(most, disallowed_tools=tuple(dict.fromkeys(denied))))

    def _bounds(self, principal: Principal, info: SessionInfo | None = None) -> Bounds:
        return bounds_of(self._settings, principal, info.tool_config if info else None)

    def _info(self, principal: Principal, session_id: str) -> SessionInfo:
        return self._session_service().read(principal, session_id).head

    def _session_service(self) -> SessionService:
        if self._sessions is None:
            raise InvalidRequest("This gateway stores no sessions (SESSION_STORE=none).")
        return self._sessions


def _why_unlisted(state: ServerState | None) -> str:
    if state is None or state.lacks_descriptions:
        return "The server is still being asked; ask again."
    if state.status == "failed":
        return f"The server cannot be used: {state.last_error}."
    return (
        f"The server offers {len(state.tools)} tools. They can be used by name, but those of more "
        f"than {MOST_DESCRIBED} are not listed."
    )
