"""Answer Claude Code's permission prompts: decide which commands of an agent run.

Claude Code runs commands that it considers read-only without asking, and they can read any file.
So a rule makes it ask before every command. Without an answer that allows it, no command runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wrapper.services.permissions.confinement import SHELLS
from wrapper.services.permissions.readonly.line import read_only
from wrapper.services.permissions.readonly.syntax import Denied

Frame = dict[str, Any]

# The tools that Claude Code asks about; "default" is no tool.
ASKED = tuple(sorted(SHELLS - {"default"}))
# The arguments that are passed on beside the command.
_KEPT = ("description", "timeout")


class PermissionServer:
    """Decides whether an agent that works in the directory *root* may use a tool."""

    def __init__(self, root: str):
        self._root = root

    def answer(self, frame: Frame) -> Frame:
        """Return the answer to a permission request."""
        try:
            decision = self._decide(frame["request"])
        except Denied as reason:
            decision = {"behavior": "deny", "message": str(reason)}
        answer = {"subtype": "success", "request_id": frame["request_id"], "response": decision}
        return {"type": "control_response", "response": answer}

    def _decide(self, request: Frame) -> Frame:
        tool, arguments = request.get("tool_name"), request.get("input") or {}
        if tool != "Bash":
            why = request.get("decision_reason") or "no permission rule allows it"
            raise Denied(f"{tool} was denied: {why}, and there is nobody to ask.")
        try:
            command = read_only(str(arguments.get("command")), self._root)
        except (Denied, OSError) as reason:
            raise Denied(
                f"The command was denied: {reason}. Only commands that read files of the working "
                "directory run here; use the tools Read, Grep, Glob, Write and Edit for the rest."
            ) from None
        kept = {name: arguments[name] for name in _KEPT if name in arguments}
        return {"behavior": "allow", "updatedInput": {**kept, "command": command}}


def asks_permission(frame: Frame) -> bool:
    """Say whether *frame* is a permission request."""
    request = frame.get("request") or {}
    return frame["type"] == "control_request" and request.get("subtype") == "can_use_tool"


def arguments() -> tuple[str, ...]:
    """Return the command line arguments that make Claude Code ask."""
    settings = json.dumps({"permissions": {"ask": list(ASKED)}})
    return "--permission-prompt-tool", "stdio", "--settings", settings


def in_force(answer: Mapping[str, Any]) -> bool:
    """Say whether Claude Code's *answer* to get_settings has the rule that makes it ask."""
    permissions = (answer.get("effective") or {}).get("permissions") or {}
    return set(ASKED) <= set(permissions.get("ask") or ())
