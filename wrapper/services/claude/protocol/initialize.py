"""Build the `initialize` request of a process, with its turn or before it has one."""

from __future__ import annotations

from typing import Any

from wrapper.services.claude.additions import Additions
from wrapper.services.claude.protocol.mcp_server import SERVER, mcp_functions
from wrapper.services.turn import Turn

NO_ADDITIONS = Additions()
# The SDK's id of the first hook that it gets.
ROUND_OVER = "hook_0"
AFTER_TOOLS = {"PostToolBatch": [{"hookCallbackIds": [ROUND_OVER]}]}
# The SDK's id of the second hook.
BEFORE_USE = "hook_1"


def initialize_request(turn: Turn, additions: Additions = NO_ADDITIONS) -> dict[str, Any]:
    """Return the turn's `initialize` request. A process heeds only the first one."""
    request = {"subtype": "initialize", **_system_prompt(turn), **_options(turn)}
    if additions.subagents:
        request["agents"] = additions.subagents
    if additions.skills:
        request["skills"] = additions.skill_names
    if tools := additions.checked_tools:
        check = {"matcher": "|".join(tools), "hookCallbackIds": [BEFORE_USE]}
        request["hooks"] = {**request.get("hooks", {}), "PreToolUse": [check]}
    return request


def early_initialize_request() -> dict[str, Any]:
    """Return the `initialize` request of a plain process that has no turn yet.

    Plain turns differ only in their system prompt, which comes later. Without
    `systemPromptSnapshot: False` the warm-up turn would fix it. Some versions accept a late prompt,
    but ignore it, so only those that pass a trial are initialized early.
    """
    request = {"subtype": "initialize", "systemPrompt": [], "hooks": AFTER_TOOLS}
    return {**request, "systemPromptSnapshot": False}


def late_prompt(turn: Turn) -> dict[str, Any] | None:
    """Return the request that gives the turn's system prompt to a process initialized early.

    It is None for a turn without one. The turn's model has to be set first: then the request
    changes no model and calls no API. Claude Code refuses it for another model, and for some
    aliases.
    """
    if not turn.system:
        return None
    model = {"model": turn.model, "only_if_model_is_current": True}
    return {"subtype": "set_model", "system_prompt": turn.system, **model}


def last_round(turn: Turn) -> int | None:
    """Return the number of tool rounds after which the turn ends, or None for no limit.

    The client runs its functions itself, so that a plain turn ends after the first round.
    """
    if turn.profile == "plain":
        return 1 if turn.functions or turn.output_schema or turn.body is not None else None
    return turn.permissions.max_turns


def _options(turn: Turn) -> dict[str, Any]:
    """Return the hook that reports each tool round, if the turn may end after one, and for an
    agent the client's functions and the answer's schema."""
    options: dict[str, Any] = {}
    if last_round(turn) is not None or turn.principal.has_budget:
        options["hooks"] = AFTER_TOOLS
    if mcp_functions(turn):
        options["sdkMcpServers"] = [SERVER]
    if turn.output_schema and turn.profile == "agent":
        options["jsonSchema"] = dict(turn.output_schema.schema)
    return options


def _system_prompt(turn: Turn) -> dict[str, Any]:
    """Return the caller's system prompt. Without one the plain profile has an empty prompt."""
    if turn.appends and turn.system and turn.profile == "agent":
        return {"appendSystemPrompt": turn.system}
    if turn.system is None:
        return {"systemPrompt": []} if turn.profile == "plain" else {}
    return {"systemPrompt": [turn.system] if turn.system else []}
