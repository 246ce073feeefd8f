"""The permissions: the gateway decides, in a person's place, which commands of an agent run.

Claude Code runs what it takes for read-only without asking, and that reads any file. So a rule
makes it ask before every command. Without an answer that allows it, no command runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wrapper.services.permissions.confinement import SHELLS
from wrapper.services.permissions.readonly.line import read_only
from wrapper.services.permissions.readonly.syntax import Denied

Frame = dict[str, Any]

# The tools to be asked for; "default" is no tool.
ASKED = tuple(sorted(SHELLS - {"default"}))
# Of what the model says beside a command, this is passed on.
_KEPT = ("description", "timeout")


class PermissionServer:
    """Answers whether an agent that works in the directory *root* may use a tool."""

    def __init__(self, root: str):
        self._root = root

    def answer(self, frame: Frame) -> Frame:
        """Return the answer to a control request that asks for permission."""
        try:
            decision = self._decide(frame["request"])
        except Denied as reason:
            decision = {"behavior": "deny", "message": str(reason)}
        answer = {"subtype": "success", "request_id": frame["request_id"], "response": decision}
        return {"type": "control_response", "response": answer}

    def _decide(self, request: Frame) -> Frame:
        tool, given = request.get("tool_name"), request.get("input") or {}
        if tool != "Bash":
            why = request.get("decision_reason") or "no permission rule allows it"
            raise Denied(f"{tool} was denied: {why}, and nobody can be asked for it.")
        try:
            command = read_only(str(given.get("command")), self._root)
        except (Denied, OSError) as reason:
            raise Denied(
                f"The command was denied: {reason}. Here run only commands that read files of the "
                "working directory; use the tools Read, Grep, Glob, Write and Edit for the rest."
            ) from None
        kept = {name: given[name] for name in _KEPT if name in given}
        return {"behavior": "allow", "updatedInput": {**kept, "command": command}}


def asks_permission(frame: Frame) -> bool:
    request = frame.get("request") or {}
    return frame["type"] == "control_request" and request.get("subtype") == "can_use_tool"


def arguments() -> tuple[str, ...]:
    """Return the words of a command line that make Claude Code ask."""
    settings = json.dumps({"permissions": {"ask": list(ASKED)}})
    return "--permission-prompt-tool", "stdio", "--settings", settings


def in_force(answer: Mapping[str, Any]) -> bool:
    """Say whether Claude Code's *answer* to get_settings holds the rule that makes it ask."""
    permissions = (answer.get("effective") or {}).get("permissions") or {}
    return set(ASKED) <= set(permissions.get("ask") or ())
