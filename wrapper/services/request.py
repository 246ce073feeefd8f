"""The request: what a client asks for, as services read it, and what of it is granted."""

from __future__ import annotations

from dataclasses import dataclass, field

from wrapper.services.messages.message import ChatMessage, has_calls
from wrapper.services.turn import (
    Effort,
    Function,
    OutputSchema,
    Permissions,
    ToolChoice,
)


@dataclass(frozen=True)
class ChatRequest:
    """A valid chat completion request. None stands for what was not given.

    `idle` are the parameters that it sets and that have no effect with any model, `dropped` those
    that the operator has the gateway ignore, and `adapted` the schemas in it that the model gets in
    another form. `system_first` says that the first message was a parameter of its own.
    """

    messages: tuple[ChatMessage, ...]
    system_first: bool = False
    model: str | None = None
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
    permission_mode: str | None = None
    max_turns: int | None = None
    functions: tuple[Function, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    legacy_functions: bool = False
    output_schema: OutputSchema | None = None
    appends_system: bool | None = None
    prefill: bool = False
    session_id: str | None = None
    compacts: bool | None = None
    idle: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()

    @property
    def listed(self) -> tuple[ChatMessage, ...]:
        """Return the messages of the parameter `messages`, where errors and headers count them."""
        return self.messages[int(self.system_first) :]

    @property
    def wants_plain(self) -> bool:
        """Say whether the client has its own part in the answer, which no agent is to play.

        It runs functions, has run some, forbids calls, or says how the answer looks or begins.
        """
        forbids = self.tool_choice.mode == "none"
        own = self.functions or forbids or self.output_schema or self.prefill
        return bool(own) or has_calls(self.messages)

    @property
    def choice_param(self) -> str:
        """Return the parameter that says which function is to be called."""
        return "function_call" if self.legacy_functions else "tool_choice"


@dataclass(frozen=True)
class Grant:
    """What a request gets of Claude Code: the profile, what its tools may do, and if it has any."""

    profile: str
    permissions: Permissions = field(default_factory=Permissions)
    tools: bool = False
