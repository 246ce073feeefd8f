"""The bounds of what an agent may do: those of the settings, of a key, and of tool configs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from wrapper.services.principal import Principal
from wrapper.services.tools.config import WIDTHS, ToolConfig
from wrapper.settings import Settings

Source = Literal["settings", "key", "key_config", "session"]


@dataclass(frozen=True)
class Bound:
    """What one source allows at most. `holder` names that source in errors.

    The fields of `most` that are None set no limit.
    """

    source: Source
    holder: str
    most: ToolConfig

    @property
    def allows(self) -> str:
        """Return the beginning of a sentence about what it allows."""
        verb = "allow" if self.source == "settings" else "allows"
        return f"{self.holder} {verb}"

    def name_of(self, limit: str) -> str:
        """Return the source's own name for *limit*, a field of ToolConfig."""
        return _NAMES.get(self.source, {}).get(limit, limit)


_NAMES = {
    "settings": {
        "allowed_tools": "CLAUDE_TOOLS",
        "disallowed_tools": "CLAUDE_DISALLOWED_TOOLS",
        "permission_mode": "CLAUDE_PERMISSION_MODE",
    },
    "key": {"allowed_tools": "tools"},
}


class Bounds:
    """Several bounds, of which a turn has to keep all. The first is that of the settings."""

    def __init__(self, bounds: Iterable[Bound]):
        self.each = tuple(bounds)

    def tools(self) -> tuple[Bound, frozenset[str]]:
        """Return the tools that may be used, and the last bound that says so."""
        tightest, usable = self.each[0], frozenset(self.each[0].most.allowed_tools or ())
        for bound in self.each[1:]:
            if bound.most.allowed_tools is not None:
                tightest, usable = bound, usable.intersection(bound.most.allowed_tools)
        return tightest, usable

    def denied(self) -> tuple[str, ...]:
        """Return the permission rules that deny."""
        return tuple(rule for bound in self.each for rule in bound.most.disallowed_tools or ())

    def mode(self) -> tuple[Bound, str]:
        """Return the widest permission mode, and the bound that sets it."""
        tightest, narrowest = self.each[0], str(self.each[0].most.permission_mode)
        for bound in self.each[1:]:
            mode = bound.most.permission_mode
            if mode and WIDTHS[mode] < WIDTHS[narrowest]:
                tightest, narrowest = bound, mode
        return tightest, narrowest

    def edits_only(self) -> Bound | None:
        """Return the bound, if there is one, within which approvals allow no more than edits."""
        modes = ((bound, bound.most.permission_mode) for bound in self.each)
        return next((bound for bound, mode in modes if mode == "acceptEdits"), None)

    def max_turns(self) -> tuple[Bound, int | None]:
        """Return how many rounds of tool use there may be, and the bound that says so."""
        limited = [bound for bound in self.each if bound.most.max_turns is not None]
        if not limited:
            return self.each[0], None
        tightest = min(limited, key=lambda bound: bound.most.max_turns or 0)
        return tightest, tightest.most.max_turns

    def mcp_servers(self) -> frozenset[str] | None:
        """Return the MCP servers that all tool configs allow, None if none of them limits these."""
        lists = [bound.most.mcp_servers for bound in self.each]
        limits = [frozenset(names) for names in lists if names is not None]
        return frozenset.intersection(*limits) if limits else None

    def most(self) -> ToolConfig:
        """Return what all bounds together allow."""
        servers = self.mcp_servers()
        return ToolConfig(
            tuple(sorted(self.tools()[1])),
            self.denied(),
            self.mode()[1],
            self.max_turns()[1],
            None if servers is None else tuple(sorted(servers)),
        )


def bounds_of(
    settings: Settings, principal: Principal, session: ToolConfig | None = None
) -> Bounds:
    """Return the bounds for *principal*, in a session with this config."""
    key, holder = _of_key(principal), f"the key {principal.name!r}"
    bounds = [
        _of_settings(settings.claude_tools, settings.claude_permission_mode),
        Bound("key", holder, key),
    ]
    if principal.config:
        bounds.append(Bound("key_config", f"the tool config of {holder}", principal.config))
    if session:
        bounds.append(Bound("session", "the session's tool config", session))
    return Bounds(bounds)


@lru_cache(maxsize=8)  # a gateway has one, and each request asks for it
def _of_settings(tools: tuple[str, ...], mode: str) -> Bound:
    # Claude Code's processes have the rules of CLAUDE_DISALLOWED_TOOLS from their start.
    most = ToolConfig(tools, permission_mode=mode)
    return Bound("settings", "the gateway's settings", most)


def _of_key(principal: Principal) -> ToolConfig:
    return ToolConfig(
        principal.tools,
        principal.disallowed_tools,
        principal.permission_mode,
        principal.max_turns,
    )
