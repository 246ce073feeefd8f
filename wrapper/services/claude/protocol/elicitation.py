"""Elicitations: the questions that MCP servers ask the user, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrapper.services.approvals.approval import Decision, ToolRequest
from wrapper.services.tools.mcp import PREFIX, normalise

Frame = dict[str, Any]

ELICITATION = "elicitation"
# What the owner sees of a request.
_SHOWN = ("message", "mode", "url", "requested_schema")
NOBODY = Decision("withdrawn")


def elicitation(request: Mapping[str, Any]) -> ToolRequest:
    """Return what Claude Code's *request* asks for."""
    server = str(request.get("mcp_server_name"))
    shown = {name: request[name] for name in _SHOWN if request.get(name) is not None}
    return ToolRequest(f"{PREFIX}{normalise(server)}", {"server": server, **shown}, "elicitation")


def elicitation_result(decision: Decision = NOBODY) -> Frame:
    """Return what the server gets: that nobody answers, that the user declines, or the answers."""
    if decision.outcome == "denied":
        return {"action": "decline"}
    if not decision.allowed:
        return {"action": "cancel"}
    answers = decision.answers
    return {"action": "accept", **({} if answers is None else {"content": dict(answers)})}
