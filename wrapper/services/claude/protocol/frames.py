"""The frames: what a turn puts on a process's stdin, to configure it and to ask it. Pure."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from typing import Any

from wrapper.services.claude.protocol.content_blocks import (
    blocks_of,
    forces_a_call,
    messages_of,
    tools_of,
)
from wrapper.services.claude.protocol.initialize import initialize_request, late_prompt
from wrapper.services.claude.protocol.mcp_server import PREFIX, SERVER, mcp_functions
from wrapper.services.turn import Effort, Message, ToolCall, ToolResult, Turn

Frame = dict[str, Any]

# The API's smallest thinking budget; it must also leave room for an answer.
SMALLEST_THINKING = 1024
THINKING: dict[Effort, int] = {
    "minimal": 1024,
    "low": 4096,
    "medium": 10_000,
    "high": 20_000,
    "xhigh": 31_999,
    "max": 31_999,
}
EFFORT_LEVELS = {"minimal": "low"}
NO_CONTENT = "(no content)"
# It reaches no model: the body's own conversation takes its place.
IN_THE_BODY = Message("user", ("The conversation stands in the body.",))
RESULTS_END = {
    "type": "text",
    "text": "<system-reminder>\nThe results of your calls are above.\n</system-reminder>",
}


def control(request_id: str, request: Frame) -> Frame:
    """Return a control request; its answer bears the same id."""
    return {"type": "control_request", "request_id": request_id, "request": request}


def configuration(
    turn: Turn,
    settings: Iterable[Frame],
    workspace: str | None = None,
    *,
    initialized: bool = False,
) -> list[Frame]:
    """Return the control requests that set a fresh process up for *turn*, in its *workspace*.

    *settings* are the turn's own. The process was *greeted* early, or not yet.
    """
    first = [] if initialized else [control("initialize", initialize_request(turn))]
    late = late_prompt(turn) if initialized else None
    return [
        *first,
        *_place(workspace),
        *_mode(turn.permissions.mode),
        *settings,
        *([control("prompt", late)] if late else []),
    ]


def reconfiguration(
    turn: Turn, settings: Iterable[Frame], mode: str | None, settled: Container[Frame]
) -> list[Frame]:
    """Return the control requests that set a process up for *turn* which has had turns before.

    *settings* are the turn's own, *mode* is the permission mode that the process began with, and
    *settled* the settings that it has.
    """
    anew = (frame for frame in settings if frame not in settled)
    return [*_mode(turn.permissions.mode or mode), *anew]


def settings(turn: Turn) -> list[Frame]:
    """Return the settings for *turn*. They stick, so that every key is said, also where unset."""
    return _settings(turn, extra_body(turn))


def _settings(turn: Turn, extra: Frame) -> list[Frame]:
    sampling = turn.sampling
    variables = {
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(sampling.max_tokens) if sampling.max_tokens else "",
        "CLAUDE_CODE_EXTRA_BODY": json.dumps(extra) if extra else "",
    }
    effort = None if sampling.effort == "none" else sampling.effort
    flags = {
        "model": turn.model,
        "effortLevel": EFFORT_LEVELS.get(effort, effort) if effort else None,
        "env": variables,
        "permissions": {
            "allow": [
                *turn.permissions.allow,
                *([f"mcp__{SERVER}"] if mcp_functions(turn) else []),
            ],
            "deny": list(turn.permissions.deny),
        },
    }
    return [
        control("settings", {"subtype": "apply_flag_settings", "settings": flags}),
        control(
            "thinking",
            {"subtype": "set_max_thinking_tokens", "max_thinking_tokens": thinking_budget(turn)},
        ),
    ]


def _place(workspace: str | None) -> Iterator[Frame]:
    if workspace:
        trusted = {"trust_accepted": True, "trusted_directory": workspace}
        yield control("cwd", {"subtype": "set_cwd", "path": workspace, **trusted})


def _mode(mode: str | None) -> list[Frame]:
    return [control("mode", {"subtype": "set_permission_mode", "mode": mode})] if mode else []


def extra_body(turn: Turn) -> Frame:
    """Return what is merged into the body of every upstream request.

    In the plain profile the whole conversation stands there, and the functions, just as the client
    has sent them: Claude Code knows nothing of them, and so has nothing to add, to cut, to shrink
    or to run; and a long history costs no more than a short one.
    """
    sampling = turn.sampling
    body: Frame = tools_of(turn)
    if turn.profile == "plain":
        body["messages"] = messages_of(turn)
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    # The API refuses stop texts of white space; the answer is cut at them all the same.
    if stops := [stop for stop in sampling.stop if stop.strip()]:
        body["stop_sequences"] = stops
    return body


def thinking_budget(turn: Turn) -> int | None:
    """Return the tokens for thinking: 0 for none, None for Claude Code's own choice.

    The API refuses thinking beside sampling or a forced call, and a budget that max_tokens does
    not exceed.
    """
    sampling = turn.sampling
    limit = sampling.max_tokens
    sampled = sampling.temperature is not None or sampling.top_p is not None
    cannot = sampled or forces_a_call(turn) or bool(limit and limit <= SMALLEST_THINKING)
    if cannot or sampling.effort == "none":
        return 0
    if sampling.effort is None:
        return 0 if turn.profile == "plain" else None
    room = max(SMALLEST_THINKING, limit // 2) if limit else THINKING["max"]
    return min(THINKING[sampling.effort], room)


def history(turn: Turn, known: int = 0) -> Iterator[tuple[Frame, bool]]:
    """Yield what was said before, in its true roles, and whether each is answered by a result.

    The first *known* messages need not be said.
    """
    return history_of(turn.messages[known:-1] if turn.profile == "agent" else ())


def history_of(messages: Iterable[Message]) -> Iterator[tuple[Frame, bool]]:
    """Yield *messages* as history; see there."""
    for index, message in enumerate(messages):
        if message.role == "user":
            yield {**user_input(message), "shouldQuery": False}, True
        else:
            content = [one for block in blocks_of(message, PREFIX) for one in _kept(block)]
            said = {"id": f"msg_history{index}", "role": "assistant", "content": content}
            yield {"type": "assistant", "message": said, "parent_tool_use_id": None}, False


def _kept(block: Frame) -> list[Frame]:
    """Return *block* as Claude Code keeps it: it leaves out a text that is its own for none."""
    if block.get("text", "").strip() != NO_CONTENT:
        return [block]
    text = block["text"]
    at = text.index(NO_CONTENT) + 1
    return [{**block, "text": text[:at]}, {**block, "text": text[at:]}]


def with_uuid(frame: Frame, name: str) -> Frame:
    """Return a message of the user's that bears a *name*, a UUID, so that one can go back to it."""
    return {**frame, "uuid": name}


def prompt(turn: Turn) -> Frame:
    """Return what sets the turn going: an agent's last message, or just a word."""
    return user_input(turn.messages[-1] if turn.profile == "agent" else IN_THE_BODY)


def compaction_configuration(turn: Turn) -> list[Frame]:
    """Return the control requests that set a process up to summarise what *turn* goes on from.

    The API takes no calls in the history of a request that defines no tools.
    """
    calls = [
        part for message in turn.messages for part in message.parts if isinstance(part, ToolCall)
    ]
    names = dict.fromkeys(PREFIX + call.name for call in calls)
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    extra = {"tools": tools, "tool_choice": {"type": "none"}} if tools else {}
    bare = Turn(turn.model, (), system=turn.system, profile="plain")
    return [control("initialize", initialize_request(bare)), *_settings(bare, extra)]


def command(text: str) -> Frame:
    """Return one of Claude Code's own commands; never what a caller has written."""
    return {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "session_id": "",
    }


def user_input(message: Message) -> Frame:
    """Return *message* as the user's input.

    `client_composed` keeps the CLI from reading files named with @ and running /commands. To a
    result at the end it would add a line's end and reminders of its own.
    """
    after = [RESULTS_END] if isinstance(message.parts[-1], ToolResult) else []
    return {
        "type": "user",
        "message": {"role": "user", "content": [*blocks_of(message), *after]},
        "parent_tool_use_id": None,
        "session_id": "",
        "client_composed": True,
    }
