"""Build a turn from the messages and parameters of a request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial

from wrapper.errors import InvalidRequest
from wrapper.services.messages.adaptation import Adapted, adapt
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.reminders import reminder_to_call, with_reminder
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.tools.mcp import McpServer
from wrapper.services.turn import (
    Function,
    Message,
    Sampling,
    SessionKey,
    ThinkingMode,
    ToolCall,
    ToolChoice,
    Turn,
    approved_calls,
)


def build_turn(
    request: TurnRequest,
    *,
    model: str,
    grant: Grant,
    principal: Principal = LOCAL,
    before: Sequence[ChatMessage] = (),
    session: SessionKey | None = None,
    thinking: ThinkingMode = "budget",
    strict: bool = False,
) -> Turn:
    """Return the turn that *request* asks for, within its *grant*, to be run by *model*.

    *before* are the messages that its *session* holds, and *thinking* is how the model thinks.
    Raises InvalidRequest if the conversation cannot be sent to the model, or if *strict*, cannot be
    sent unchanged.
    """
    make = partial(Turn, model, profile=grant.profile, principal=principal, thinking=thinking)
    make = partial(make, effort_param=request.effort_param)
    if request.body is not None:
        return make((), body=request.body)
    adapted = _adapt(request, grant, before, strict=strict)
    functions, tool_choice = _functions(request, grant, adapted.messages)
    return make(
        _reminded(adapted.messages, functions, tool_choice),
        system=adapted.system,
        sampling=_sampling(request),
        permissions=grant.permissions,
        functions=functions,
        tool_choice=tool_choice,
        output_schema=request.output_schema,
        mcp_servers=grant.mcp_servers,
        appends=bool(request.appends_system),
        session=session,
        compacts=bool(request.compacts),
        adapted=adapted.paths,
    )


def _adapt(
    request: TurnRequest, grant: Grant, before: Sequence[ChatMessage], *, strict: bool
) -> Adapted:
    """Return the whole conversation as the model's API accepts it, once it is checked."""
    conversation = (*before, *request.messages)
    known = len(conversation) - len(request.listed)
    adapted = adapt(conversation, prefill=request.prefill, known=known, strict=strict)
    _check_prefill(adapted.messages, grant)
    _check_approved(adapted.messages, grant)
    return adapted


def _reminded(
    messages: tuple[Message, ...], functions: Sequence[Function], tool_choice: ToolChoice
) -> tuple[Message, ...]:
    """Return *messages*, which end by asking for a call if one is demanded but not forced."""
    if tool_choice.demands and not tool_choice.forced:
        return with_reminder(messages, reminder_to_call(functions, tool_choice))
    return messages


def _check_prefill(messages: Sequence[Message], grant: Grant) -> None:
    """Raise InvalidRequest if an agent is to continue a message of the assistant."""
    if messages[-1].role == "assistant" and grant.profile == "agent":
        why = "an agent cannot continue a message of the assistant; use the profile plain"
        raise InvalidRequest(f"claude.prefill: {why}", param="claude.prefill")


def _check_approved(messages: Sequence[Message], grant: Grant) -> None:
    """Raise InvalidRequest for an approved call that this turn's model could not make."""
    servers = {server.name: server for server in grant.mcp_servers}
    for call in approved_calls(messages):
        server = servers.get(call.server)
        if server is None or not _may_approve(server, call.name, grant.permissions.deny):
            raise InvalidRequest(
                f"input: the call of {call.name[:80]!r} is approved, but no tool of the request "
                f"offers it with approval; send the tool mcp with the server_label "
                f"{call.server[:80]!r} as before.",
                param="input",
                code="invalid_value",
            )


def _may_approve(server: McpServer, tool: str, denied: Collection[str]) -> bool:
    """Say whether a turn may call a *tool*, and only with approval."""
    if server.rule in denied or server.tool_name(tool) in denied:
        return False
    return server.permits(tool) and server.needs_approval(tool)


def _functions(
    request: TurnRequest, grant: Grant, messages: Iterable[Message]
) -> tuple[tuple[Function, ...], ToolChoice]:
    """Return the turn's functions, and which of them the model may or must call.

    The model's API refuses calls in the history of a request without tools. If neither the request
    nor Claude Code has tools, this defines the functions of those calls, and forbids calling them.
    """
    if grant.tools and request.tool_choice.mode == "none":
        return (), ToolChoice()  # Claude Code's own tools may still be called
    if request.functions or grant.tools:
        return request.functions, request.tool_choice
    calls = [part for message in messages for part in message.parts if isinstance(part, ToolCall)]
    names = dict.fromkeys(call.name for call in calls)
    if not names:
        return (), request.tool_choice
    return tuple(Function(name, {"type": "object"}) for name in names), ToolChoice("none")


def _sampling(request: TurnRequest) -> Sampling:
    """Return the request's sampling, without what equals the default of the model's API.

    OpenAI's temperature goes up to 2, and the model's up to 1. 1 is the default of both.
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
