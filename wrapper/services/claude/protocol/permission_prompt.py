"""Answer Claude Code's permission prompts: decide which tools of an agent run.

Claude Code runs commands that it considers read-only without asking, and they can read any file.
So a rule makes it ask before every command, where only commands that read may run. Without an
answer that allows it, no tool runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrapper.services.approvals.approval import Decision, Kind, ToolRequest
from wrapper.services.approvals.questions import QUESTION_TOOL, answer_texts
from wrapper.services.claude.protocol.elicitation import (
    ELICITATION,
    elicitation,
    elicitation_result,
)
from wrapper.services.claude.protocol.tool_blocks import FindAsked
from wrapper.services.permissions.approvable import PermissionRequest, check_approvable
from wrapper.services.permissions.confinement import SHELLS
from wrapper.services.permissions.readonly.line import read_only
from wrapper.services.permissions.readonly.syntax import Denied
from wrapper.services.turn import Approvable

Frame = dict[str, Any]

# The tools that Claude Code asks about; "default" is no tool.
ASKED = tuple(sorted(SHELLS - {"default"}))
# The arguments that make Claude Code ask, and the settings with which it asks before all commands.
ARGUMENTS = ("--permission-prompt-tool", "stdio")
SETTINGS = {"permissions": {"ask": list(ASKED)}}
# The arguments that are passed on beside the command.
_KEPT = ("description", "timeout")
NOBODY = Decision("withdrawn", reason="Nobody can be asked yet.")
# The subtypes of the system messages that stand for a prompt, and for its end.
PROMPT, PROMPT_OVER = "gateway_permission_prompt", "gateway_permission_prompt_over"


class PermissionServer:
    """Decides whether an agent that works in the directory *root* may use a tool.

    *reads_only*: of commands, only those that read may run. *approvable* is what runs if the turn's
    owner approves it. *find_asked* finds the tools whose calls end the turn, until the client
    approves them.
    """

    def __init__(
        self,
        root: str,
        *,
        reads_only: bool = True,
        approvable: Approvable = "nothing",
        find_asked: FindAsked = lambda name: None,
    ):
        self._root = root
        self._find_asked = find_asked
        self._reads_only = reads_only
        self._approvable = approvable

    def answer(self, frame: Frame) -> Frame | None:
        """Return the answer to a prompt; None for its end, or if the turn's owner is to decide."""
        if not asks_permission(frame):
            return None
        request = frame["request"]
        if request.get("subtype") == ELICITATION:
            return _response(frame, elicitation_result()) if self._approvable == "nothing" else None
        try:
            decision = self._decide(request)
        except Denied as reason:
            decision = _denial(str(reason))
        return _response(frame, decision) if decision else None

    def ends_turn(self, frame: Frame) -> bool:
        """Say whether *frame* asks for a call that ends the turn, which gets no answer."""
        request = frame.get("request") or {}
        asked = self._find_asked(str(request.get("tool_name")))
        return asked is not None and not request.get("agent_id")

    def _decide(self, request: Frame) -> Frame | None:
        tool, arguments = str(request.get("tool_name")), request.get("input") or {}
        if self._find_asked(tool):
            raise Denied(f"{tool} was denied: it needs an approval, which subagents cannot get.")
        if self._reads_only and tool in SHELLS:
            return self._decide_command(tool, arguments)
        kind = str(request.get("decision_reason_type") or "")
        try:
            asked = PermissionRequest(tool, arguments, self._root, kind)
            check_approvable(asked, self._approvable)
        except Denied as reason:
            why = request.get("decision_reason") or "no permission rule allows it"
            raise Denied(f"{tool} was denied: {why}, and {reason}.") from None
        return None

    def _decide_command(self, tool: str, arguments: Frame) -> Frame:
        if tool != "Bash":
            raise Denied(f"{tool} was denied: only Bash runs commands here.")
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
    """Say whether *frame* is a permission request, or a question of an MCP server."""
    subtype = (frame.get("request") or {}).get("subtype")
    return frame["type"] == "control_request" and subtype in ("can_use_tool", ELICITATION)


def is_prompt(frame: Frame) -> bool:
    """Say whether *frame* is a permission request, or the end of one that waits."""
    return asks_permission(frame) or frame["type"] == "control_cancel_request"


def prompt_message(frame: Frame) -> Frame:
    """Return a permission request, or its end, as a system message, which the SDK passes on."""
    over = frame["type"] == "control_cancel_request"
    return {"type": "system", "subtype": PROMPT_OVER if over else PROMPT, "prompt": frame}


def stands_for_prompt(frame: Frame) -> bool:
    """Say whether *frame* is a message that stands for a permission request."""
    return frame["type"] == "system" and frame.get("subtype") == PROMPT


def tool_request(frame: Frame) -> ToolRequest:
    """Return what a permission request asks for."""
    request = frame["request"]
    if request.get("subtype") == ELICITATION:
        return elicitation(request)
    tool = str(request.get("tool_name"))
    kind: Kind = "question" if tool == QUESTION_TOOL else "tool"
    return ToolRequest(tool, request.get("input") or {}, kind)


def answer_of(frame: Frame, decision: Decision) -> Frame:
    """Return the answer to a permission request by the *decision* of the turn's owner."""
    request = tool_request(frame)
    if request.kind == "elicitation":
        return _response(frame, elicitation_result(decision))
    if decision.allowed:
        answers = {"answers": answer_texts(decision.answers)} if decision.answers else {}
        return _response(frame, {"behavior": "allow", "updatedInput": {**request.input, **answers}})
    reason = decision.reason or "The user does not want it."
    what = "answered" if request.kind == "question" else "approved"
    return _response(frame, _denial(f"{request.tool} was not {what}: {reason}"))


def _response(frame: Frame, decision: Frame) -> Frame:
    """Return the answer to the request *frame*."""
    answer = {"subtype": "success", "request_id": frame["request_id"], "response": decision}
    return {"type": "control_response", "response": answer}


def _denial(message: str) -> Frame:
    return {"behavior": "deny", "message": message}


def in_force(answer: Mapping[str, Any]) -> bool:
    """Say whether Claude Code's *answer* to get_settings has the rule that makes it ask."""
    permissions = (answer.get("effective") or {}).get("permissions") or {}
    return set(ASKED) <= set(permissions.get("ask") or ())
