"""Build the frames that configure a process for a turn and send its messages."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any

from wrapper.json_text.precision import write_exact
from wrapper.services.claude.additions import Additions
from wrapper.services.claude.protocol.content_blocks import (
    blocks_of,
    forces_a_call,
    messages_of,
    tools_of,
)
from wrapper.services.claude.protocol.initialize import (
    NO_ADDITIONS,
    initialize_request,
    late_prompt,
)
from wrapper.services.claude.protocol.mcp_server import PREFIX, SERVER, mcp_functions
from wrapper.services.claude.protocol.raw_body import body_of, effort_of
from wrapper.services.turn import Effort, Message, ToolCall, ToolResult, Turn

Frame = dict[str, Any]

# The API's smallest thinking budget. It has to leave room for an answer.
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
# The model never sees this: the conversation in the body replaces it.
IN_THE_BODY = Message("user", ("The conversation stands in the body.",))
# Claude Code sends the model only what follows the last of these in its conversation.
BOUNDARY = {
    "type": "system",
    "subtype": "compact_boundary",
    "compact_metadata": {"trigger": "manual", "pre_tokens": 0},
}
RESULTS_END = {
    "type": "text",
    "text": "<system-reminder>\nThe results of your calls are above.\n</system-reminder>",
}


def control(request_id: str, request: Frame) -> Frame:
    """Return a control request. Its answer has the same id."""
    return {"type": "control_request", "request_id": request_id, "request": request}


def configuration(
    turn: Turn,
    settings: Iterable[Frame],
    workspace: str | None = None,
    *,
    initialized: bool = False,
    additions: Additions = NO_ADDITIONS,
) -> list[Frame]:
    """Return the control requests that configure a fresh process for *turn* in its *workspace*.

    *settings* are the turn's own. *initialized* says whether the process has been initialized.
    *additions* are those of the process's profile.
    """
    first = [] if initialized else [control("initialize", initialize_request(turn, additions))]
    late = late_prompt(turn) if initialized else None
    return [
        *first,
        *_directory(workspace),
        *_mode(turn.permissions.mode),
        *settings,
        *([control("prompt", late)] if late else []),
    ]


def reconfiguration(
    turn: Turn, settings: Iterable[Frame], mode: str | None, current: Container[Frame]
) -> list[Frame]:
    """Return the control requests that configure a process with earlier turns for *turn*.

    *settings* are the turn's own, *current* the settings that the process has, and *mode* is the
    permission mode that it started with.
    """
    changed = (frame for frame in settings if frame not in current)
    return [*_mode(turn.permissions.mode or mode), *changed]


def settings(turn: Turn, *, first_party: bool = True) -> list[Frame]:
    """Return the settings for *turn*. They stick, so that every key is sent, unset ones too.

    *first_party* says that Claude Code calls Anthropic's own API.
    """
    return _settings(turn, extra_body(turn, first_party=first_party))


def _settings(turn: Turn, extra: Frame) -> list[Frame]:
    sampling = turn.sampling
    variables = {
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(sampling.max_tokens) if sampling.max_tokens else "",
        "CLAUDE_CODE_EXTRA_BODY": write_exact(extra) if extra else "",
    }
    flags = {
        "model": turn.model,
        "effortLevel": effort_level(turn),
        "env": variables,
        "permissions": {
            "allow": [
                *turn.permissions.allow,
                *([f"mcp__{SERVER}"] if mcp_functions(turn) else []),
            ],
            "deny": list(turn.permissions.deny),
            **({"ask": list(turn.permissions.ask)} if turn.permissions.ask else {}),
        },
    }
    return [
        control("settings", {"subtype": "apply_flag_settings", "settings": flags}),
        control(
            "thinking",
            {"subtype": "set_max_thinking_tokens", "max_thinking_tokens": thinking_budget(turn)},
        ),
    ]


def effort_level(turn: Turn) -> str | None:
    """Return Claude Code's word for the turn's effort, None where it is not asked to think."""
    if turn.body is not None:
        return effort_of(turn.body)
    effort = turn.sampling.effort
    return None if effort in (None, "none") else EFFORT_LEVELS.get(effort, effort)


def _directory(workspace: str | None) -> Iterator[Frame]:
    if workspace:
        trusted = {"trust_accepted": True, "trusted_directory": workspace}
        yield control("cwd", {"subtype": "set_cwd", "path": workspace, **trusted})


def _mode(mode: str | None) -> list[Frame]:
    mode = "default" if mode == "ask" else mode
    return [control("mode", {"subtype": "set_permission_mode", "mode": mode})] if mode else []


def extra_body(turn: Turn, *, first_party: bool = True) -> Frame:
    """Return the JSON that Claude Code merges into the body of every upstream request.

    In the plain profile it holds the whole conversation and the functions as the client sent them.
    Claude Code does not know them, and so adds, truncates, shrinks and runs nothing; and a long
    history costs no more than a short one.
    """
    if turn.body is not None:
        return body_of(turn, first_party=first_party)
    sampling = turn.sampling
    body: Frame = tools_of(turn)
    if turn.profile == "plain":
        body["messages"] = messages_of(turn)
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    # The API refuses stop sequences of white space. The gateway cuts the answer at those itself.
    if stops := [stop for stop in sampling.stop if stop.strip()]:
        body["stop_sequences"] = stops
    return body


def thinking_budget(turn: Turn) -> int | None:
    """Return the thinking budget in tokens: 0 for none, None for Claude Code's own choice.

    The API refuses thinking beside sampling parameters or a forced call, and a budget that is not
    below max_tokens. A body says itself how the model thinks. With a budget Claude Code adds no
    temperature to it.
    """
    if turn.body is not None:
        return SMALLEST_THINKING
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


def prompt(turn: Turn) -> Frame:
    """Return the message that starts the turn: an agent's last one, or a placeholder."""
    return user_input(turn.messages[-1] if turn.profile == "agent" else IN_THE_BODY)


def compaction_configuration(turn: Turn) -> list[Frame]:
    """Return the control requests that configure a process to summarise the history of *turn*.

    The API refuses calls in the history of a request that defines no tools.
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
    """Return a slash command of Claude Code's. *text* must never come from a caller."""
    return {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "session_id": "",
    }


def user_input(message: Message) -> Frame:
    """Return *message* as user input.

    `client_composed` keeps the CLI from reading files named with @ and running /commands. To a
    tool result at the end the CLI would add a line break and reminders of its own, so that a text
    follows it.
    """
    after = [RESULTS_END] if isinstance(message.parts[-1], ToolResult) else []
    return {
        "type": "user",
        "message": {"role": "user", "content": [*blocks_of(message), *after]},
        "parent_tool_use_id": None,
        "session_id": "",
        "client_composed": True,
    }
