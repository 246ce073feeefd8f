"""The request: what a client asks for, and what of it is granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wrapper.services.messages.message import ChatMessage, has_calls
from wrapper.services.tools.mcp import McpServer, NamedServer
from wrapper.services.turn import (
    Effort,
    Function,
    OutputSchema,
    Permissions,
    ToolChoice,
)


@dataclass(frozen=True)
class TurnRequest:
    """A valid request of any API. None stands for a parameter that was not given.

    `idle` lists the parameters in it that have no effect with any model, `dropped` those that the
    settings ignore, and `adapted` the schemas that the model gets in another form. The first
    `unlisted` messages came otherwise than in the parameter for messages. Each of the `others` is
    one more conversation that is answered, too.

    A `body` in the form of the model's API stands in place of messages, functions and sampling.
    `server_tools` are those of the provider's own tools that it offers the model, and `user` is the
    id that the client gives its user in `user_param`. `mcp_servers` are names; some may be of the
    `brought_servers`, which the request itself describes. `named_servers` are those that stand in
    another parameter than `claude.mcp_servers`.
    """

    messages: tuple[ChatMessage, ...]
    unlisted: int = 0
    others: tuple[tuple[ChatMessage, ...], ...] = ()
    model: str | None = None
    fallback_models: tuple[str, ...] | None = None
    profile: str | None = None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    limit_param: str = "max_tokens"
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    effort: Effort | None = None
    effort_param: str = "reasoning_effort"
    service_tier: str | None = None
    show_tool_use: bool = False
    allowed_tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] | None = None
    mcp_servers: tuple[str, ...] | None = None
    brought_servers: tuple[McpServer, ...] = ()
    named_servers: Mapping[str, NamedServer] = field(default_factory=dict)
    permission_mode: str | None = None
    max_turns: int | None = None
    functions: tuple[Function, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    legacy_functions: bool = False
    output_schema: OutputSchema | None = None
    schema_param: str = "response_format.json_schema.schema"
    appends_system: bool | None = None
    prefill: bool = False
    session_id: str | None = None
    compacts: bool | None = None
    idle: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    server_tools: tuple[str, ...] = ()
    user: str = ""
    user_param: str = "safety_identifier"

    @property
    def answers(self) -> int:
        """Return how many answers there will be: `n` to each conversation."""
        return self.n * (1 + len(self.others))

    @property
    def listed(self) -> tuple[ChatMessage, ...]:
        """Return the messages of the parameter `messages`, by which errors and headers count."""
        return self.messages[self.unlisted :]

    @property
    def wants_plain(self) -> bool:
        """Say whether the request needs the profile plain, because no agent can do its part.

        It offers functions, holds calls, forbids calls, or fixes the answer's form or beginning.
        """
        forbids = self.tool_choice.mode == "none"
        wants = self.functions or forbids or self.output_schema or self.prefill
        return bool(wants) or has_calls(self.messages)

    @property
    def choice_param(self) -> str:
        """Return the parameter that chooses the function to call."""
        return "function_call" if self.legacy_functions else "tool_choice"


@dataclass(frozen=True)
class Grant:
    """What a request may use of Claude Code: a profile, permissions, and whether it has tools.

    `mcp_servers` are the MCP servers that the request uses.
    """

    profile: str
    permissions: Permissions = field(default_factory=Permissions)
    tools: bool = False
    mcp_servers: tuple[McpServer, ...] = ()
