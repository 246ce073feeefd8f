"""The greeting: what a process is first set up with, by its turn or before there is one."""

from __future__ import annotations

from typing import Any

from wrapper.services.claude.protocol.mcp_server import SERVER, mcp_functions
from wrapper.services.turn import Turn

# What the SDK calls the first hook that it is given.
ROUND_OVER = "hook_0"
AFTER_TOOLS = {"PostToolBatch": [{"hookCallbackIds": [ROUND_OVER]}]}
# The versions that were seen to heed a late prompt: one that does not would say that it does.
HEED_LATE_PROMPTS = ("2.1.330",)


def initialize_request(turn: Turn) -> dict[str, Any]:
    """Return the request that a process is first set up with, of which only the first counts."""
    return {"subtype": "initialize", **_system_prompt(turn), **_asked(turn)}


def early_initialize_request() -> dict[str, Any]:
    """Return the greeting of a plain process whose turn is still to come.

    It is the same for all but for the system prompt, which a rehearsal is not to settle either.
    """
    opening = {"subtype": "initialize", "systemPrompt": [], "hooks": AFTER_TOOLS}
    return {**opening, "systemPromptSnapshot": False}


def late_prompt(turn: Turn) -> dict[str, Any] | None:
    """Return what gives the turn's system prompt, if it has one, to a process greeted early.

    Sent once the turn's model is set it changes no model and asks no API. Claude Code refuses it
    where that is not the model set, and for some names that are not a model's own.
    """
    if not turn.system:
        return None
    named = {"model": turn.model, "only_if_model_is_current": True}
    return {"subtype": "set_model", "system_prompt": turn.system, **named}


def last_round(turn: Turn) -> int | None:
    """Return the round of tool use after which a turn ends, if there is one.

    Functions are the client's to run, so that the first round that calls one is the last.
    """
    if turn.profile == "plain":
        return 1 if turn.functions or turn.output_schema else None
    return turn.permissions.max_turns


def _asked(turn: Turn) -> dict[str, Any]:
    """Return what is asked of Claude Code itself: to tell of each round of tool use, where one may
    be the last; and of an agent, to offer the client's functions and to answer in a shape."""
    asked: dict[str, Any] = {}
    if last_round(turn) is not None or turn.principal.has_budget:
        asked["hooks"] = AFTER_TOOLS
    if mcp_functions(turn):
        asked["sdkMcpServers"] = [SERVER]
    if turn.output_schema and turn.profile == "agent":
        asked["jsonSchema"] = dict(turn.output_schema.schema)
    return asked


def _system_prompt(turn: Turn) -> dict[str, Any]:
    """Return the caller's system prompt; the plain profile's own is to say nothing."""
    if turn.appends and turn.system and turn.profile == "agent":
        return {"appendSystemPrompt": turn.system}
    if turn.system is None:
        return {"systemPrompt": []} if turn.profile == "plain" else {}
    return {"systemPrompt": [turn.system] if turn.system else []}
