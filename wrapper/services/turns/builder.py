"""The conversation: a chat request's messages and parameters made into a turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wrapper.errors import InvalidRequest
from wrapper.services.messages.adaptation import adapt
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.reminders import reminder_to_call, with_reminder
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.request import ChatRequest, Grant
from wrapper.services.turn import (
    Function,
    Message,
    Sampling,
    SessionKey,
    ToolCall,
    ToolChoice,
    Turn,
)


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
    functions, tool_choice = _functions(request, grant, messages)
    if tool_choice.demands and not tool_choice.forced:
        messages = with_reminder(messages, reminder_to_call(functions, tool_choice))
    return Turn(
        model=model,
        messages=messages,
        system=adapted.system,
        profile=grant.profile,
        sampling=_sampling(request),
        permissions=grant.permissions,
        principal=principal,
        functions=functions,
        tool_choice=tool_choice,
        output_schema=request.output_schema,
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
) -> tuple[tuple[Function, ...], ToolChoice]:
    """Return the functions that there are, and how they are to be called.

    The model's API takes no calls in the history of a request that defines no tools. Where neither
    the request nor Claude Code has any, they are made up from those calls, not to be called again.
    """
    if grant.tools and request.tool_choice.mode == "none":
        return (), ToolChoice()  # Claude Code's own tools may be called all the same
    if request.functions or grant.tools:
        return request.functions, request.tool_choice
    calls = [part for message in messages for part in message.parts if isinstance(part, ToolCall)]
    names = dict.fromkeys(call.name for call in calls)
    if not names:
        return (), request.tool_choice
    return tuple(Function(name, {"type": "object"}) for name in names), ToolChoice("none")


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
