"""The conversation: a chat request's messages and parameters made into a turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wrapper.errors import InvalidRequest
from wrapper.services.messages.adaptation import adapt
from wrapper.services.messages.message import ChatMessage, has_calls
from wrapper.services.messages.reminders import reminder_to_call, with_reminder
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.turn import (
    Call,
    Calling,
    Effort,
    Function,
    Message,
    Permissions,
    Sampling,
    SessionKey,
    Shape,
    Turn,
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
    calling: Calling = field(default_factory=Calling)
    legacy_functions: bool = False
    shape: Shape | None = None
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
        forbids = self.calling.mode == "none"
        own = self.functions or forbids or self.shape or self.prefill
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


def build_turn(
    request: ChatRequest,
    *,
    model: str,
    grant: Grant,
    principal: Principal = LOCAL,
    before: Sequence[ChatMessage] = (),
    session: SessionKey | None = None,
    strict: bool = False,
) -> Turn:
    """Return the turn that *request* asks for, as far as it was granted, to be run by *model*.

    *before* is what was said in its *session*. Raises InvalidRequest where the model cannot get
    the conversation, or if *strict*, not in the form in which it was sent.
    """
    said = (*before, *request.messages)
    known = len(said) - len(request.listed)
    adapted = adapt(said, prefill=request.prefill, known=known, strict=strict)
    messages = adapted.messages
    _check_prefill(messages, grant)
    functions, calling = _functions(request, grant, messages)
    if calling.demands and not calling.forced:
        messages = with_reminder(messages, reminder_to_call(functions, calling))
    return Turn(
        model=model,
        messages=messages,
        system=adapted.system,
        profile=grant.profile,
        sampling=_sampling(request),
        permissions=grant.permissions,
        principal=principal,
        functions=functions,
        calling=calling,
        shape=request.shape,
        appends=bool(request.appends_system),
        session=session,
        compacts=bool(request.compacts),
        adapted=adapted.paths,
    )


def _check_prefill(messages: Sequence[Message], grant: Grant) -> None:
    """Raise InvalidRequest where an agent is to go on from the assistant's own words."""
    if messages[-1].role == "assistant" and grant.profile == "agent":
        why = "an agent cannot go on from a message of its own; ask for the profile plain"
        raise InvalidRequest(f"claude.prefill: {why}", param="claude.prefill")


def _functions(
    request: ChatRequest, grant: Grant, messages: Iterable[Message]
) -> tuple[tuple[Function, ...], Calling]:
    """Return the functions that there are, and how they are to be called.

    The model's API takes no calls in the history of a request that defines no tools. Where neither
    the request nor Claude Code has any, they are made up from those calls, not to be called again.
    """
    if grant.tools and request.calling.mode == "none":
        return (), Calling()  # Claude Code's own tools may be called all the same
    if request.functions or grant.tools:
        return request.functions, request.calling
    calls = [part for message in messages for part in message.parts if isinstance(part, Call)]
    names = dict.fromkeys(call.name for call in calls)
    if not names:
        return (), request.calling
    return tuple(Function(name, {"type": "object"}) for name in names), Calling("none")


def _sampling(request: ChatRequest) -> Sampling:
    """Return the request's sampling, less what says no more than the API's own default.

    OpenAI's temperature goes to 2 and the model's to 1, where both are at their defaults.
    """
    return Sampling(
        request.max_tokens,
        _below_one(request.temperature),
        _below_one(request.top_p),
        request.stop,
        request.effort,
    )


def _below_one(value: float | None) -> float | None:
    return value if value is not None and value < 1 else None
