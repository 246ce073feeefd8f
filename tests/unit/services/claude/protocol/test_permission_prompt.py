"""The permission server answers Claude Code's permission requests."""

from __future__ import annotations

from functools import partial

import pytest

from wrapper.services.approvals.approval import Decision
from wrapper.services.claude.protocol import permission_prompt
from wrapper.services.claude.protocol.permission_prompt import (
    PermissionServer,
    answer_of,
    asks_permission,
)
from wrapper.services.tools.mcp import McpServer, find_asked


def permission_request(tool="Bash", **arguments):
    request = {"subtype": "can_use_tool", "tool_name": tool, "input": arguments}
    return {"type": "control_request", "request_id": "r1", "request": request}


def decision(root, frame, **more):
    answer = PermissionServer(str(root), **more).answer(frame)
    assert answer
    response = answer["response"]
    assert (response["subtype"], response["request_id"]) == ("success", "r1")
    return response["response"]


def test_allowed_command(tmp_path):
    """A read-only command runs rewritten, and dangerous arguments beside it are dropped."""
    more = {"description": "d", "timeout": 5, "run_in_background": True}
    arguments = {"command": "ls", "dangerouslyDisableSandbox": True, **more}
    allowed = decision(tmp_path, permission_request(**arguments))
    command = f"(\\builtin cd -- '{tmp_path}' || exit; \\command 'ls')"
    updated = {"command": command, "description": "d", "timeout": 5}
    assert allowed == {"behavior": "allow", "updatedInput": updated}


@pytest.mark.parametrize("command", ["cat /etc/passwd", "rm -rf .", "", None, 5, ["ls"]])
def test_denied_command(tmp_path, command):
    """Any other command is denied, with a reason and an alternative."""
    denied = decision(tmp_path, permission_request(command=command))
    assert denied["behavior"] == "deny"
    assert denied["message"].startswith("The command was denied: ")
    assert "Read, Grep" in denied["message"]


def test_missing_directory(tmp_path):
    """If the directory cannot be read the command is denied."""
    assert decision(tmp_path / "gone", permission_request(command="git log"))["behavior"] == "deny"


@pytest.mark.parametrize("tool", ["Monitor", "REPL", "PowerShell"])
def test_other_shells(tmp_path, tool):
    """Another tool that runs commands is denied, also where approvals allow other tools."""
    for approvable in ("nothing", "anything"):
        denied = decision(tmp_path, permission_request(tool, command="ls"), approvable=approvable)
        assert denied == {
            "behavior": "deny",
            "message": f"{tool} was denied: only Bash runs commands here.",
        }


@pytest.mark.parametrize("tool", ["Write", "mcp__a__b", None])
def test_other_tools(tmp_path, tool):
    """A tool that no rule allows is denied, since there is nobody to ask."""
    denied = decision(tmp_path, permission_request(tool, command="ls"))
    assert denied["behavior"] == "deny"
    assert "no permission rule allows it" in denied["message"]


def test_tools_that_wait(tmp_path):
    """Where the turn's owner is asked, a tool gets no answer before the owner's decision."""
    server = PermissionServer(str(tmp_path), reads_only=False, approvable="anything")
    frame = permission_request(command="rm -rf .")
    assert server.answer(frame) is None
    allowed = answer_of(frame, Decision("approved"))["response"]["response"]
    assert allowed == {"behavior": "allow", "updatedInput": {"command": "rm -rf ."}}
    denied = answer_of(frame, Decision("expired", reason="Too late."))["response"]["response"]
    assert denied == {"behavior": "deny", "message": "Bash was not approved: Too late."}


def test_permission_requests_are_recognised():
    """Only permission requests are recognised as such."""
    assert asks_permission(permission_request())
    for frame in (
        {"type": "control_request"},
        {"type": "user", "request": permission_request()["request"]},
    ):
        assert not asks_permission(frame)


def test_the_rule_that_makes_claude_code_ask():
    """The rule is in force only if it covers every tool that runs commands."""
    assert permission_prompt.in_force({"effective": permission_prompt.SETTINGS})
    assert set(permission_prompt.ASKED) >= {"Bash", "Monitor"}
    for permitted in (None, {}, {"ask": ["Bash"]}):
        assert not permission_prompt.in_force({"effective": {"permissions": permitted}})
    assert not permission_prompt.in_force({})


def test_calls_that_end_the_turn():
    """A call that the client is to approve gets no answer, except to a subagent."""
    docs = McpServer("docs", {"type": "http"}, unasked=("free",))
    server = PermissionServer("/", find_asked=partial(find_asked, (docs,)))
    request = {"subtype": "can_use_tool", "tool_name": "mcp__docs__add", "input": {}}
    frame = {"type": "control_request", "request_id": "r", "request": request}
    assert server.ends_turn(frame)
    assert not server.ends_turn({**frame, "request": {**request, "tool_name": "mcp__docs__free"}})
    assert not server.ends_turn({"type": "control_cancel_request", "request_id": "r"})
    of_subagent = {**frame, "request": {**request, "agent_id": "a"}}
    assert not server.ends_turn(of_subagent)
    answer = server.answer(of_subagent)
    assert answer
    assert answer["response"]["response"]["behavior"] == "deny"
