"""The options of a session, which hold for its requests that do not set them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from wrapper.services.request import TurnRequest
from wrapper.services.tools.config import ToolConfig


@dataclass(frozen=True)
class Options:
    """What the first request of a session set. None stands for an option that it left out.

    Options limit what an agent may do, so a later request that leaves one out must not widen it.
    What a later request sets holds for its own turn only.
    """

    model: str | None = None
    profile: str | None = None
    appends_system: bool | None = None
    allowed_tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] | None = None
    permission_mode: str | None = None
    max_turns: int | None = None
    compacts: bool | None = None
    mcp_servers: tuple[str, ...] | None = None

    def fill(self, request: TurnRequest) -> TurnRequest:
        """Return *request* with these options where it leaves them out."""
        kept = {
            name: value
            for name, value in vars(self).items()
            if value is not None and getattr(request, name) is None
        }
        profile = request.profile or self.profile or ("plain" if request.wants_plain else None)
        if profile == "plain":  # it has no tools to allow
            kept.pop("allowed_tools", None)
            kept.pop("mcp_servers", None)
        return replace(request, **kept) if kept else request

    @property
    def tool_config(self) -> ToolConfig:
        """Return the options that limit what an agent may do."""
        return ToolConfig(
            self.allowed_tools,
            self.disallowed_tools,
            self.permission_mode,
            self.max_turns,
            self.mcp_servers,
        )

    def with_tool_config(self, config: ToolConfig) -> Options:
        """Return these options with those of *config* in place of the ones that limit agents."""
        return replace(self, **vars(config))

    def within(self, most: ToolConfig) -> Options:
        """Return these options without what goes beyond *most*, the limits that hold now."""
        return self.with_tool_config(self.tool_config.within(most))

    def after(self, later: Options) -> Options:
        """Return the options after another turn. A session that was plain once stays plain."""
        return replace(self, profile="plain") if later.profile == "plain" else self


NO_OPTIONS = Options()


def options_of(request: TurnRequest, profile: str) -> Options:
    """Return the options that *request* sets, and the turn's *profile* if it is plain.

    Servers that the request brings are for itself alone: their secrets are not kept.
    """
    kept = Options(**{field.name: getattr(request, field.name) for field in fields(Options)})
    if kept.mcp_servers and request.brought_servers:
        brought = {server.name for server in request.brought_servers}
        names = tuple(name for name in kept.mcp_servers if name not in brought)
        kept = replace(kept, mcp_servers=names)
    return replace(kept, profile="plain") if profile == "plain" else kept
