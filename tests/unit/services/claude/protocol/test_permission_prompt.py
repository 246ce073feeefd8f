"""The permission server: what Claude Code is answered when it asks whether a tool may run."""

from __future__ import annotations

import json

import pytest

from wrapper.services.claude.protocol import permission_prompt
from wrapper.services.claude.protocol.permission_prompt import PermissionServer, asks_permission


def asked(tool="Bash", **given):
    request = {"subtype": "can_use_tool", "tool_name": tool, "input": given}
    return {"type": "control_request", "request_id": "r1", "request": request}


def decision(root, frame):
    told = PermissionServer(str(root)).answer(frame)["response"]
    assert (told["subtype"], told["request_id"]) == ("success", "r1")
    return told["response"]


def test_what_runs(tmp_path):
    """A command that only reads runs as it was understood, and nothing else of the call counts."""
    more = {"description": "d", "timeout": 5, "run_in_background": True}
    given = {"command": "ls", "dangerouslyDisableSandbox": True, **more}
    allowed = decision(tmp_path, asked(**given))
    command = f"(\\builtin cd -- '{tmp_path}' || exit; \\command 'ls')"
    updated = {"command": command, "description": "d", "timeout": 5}
    assert allowed == {"behavior": "allow", "updatedInput": updated}


@pytest.mark.parametrize("command", ["cat /etc/passwd", "rm -rf .", "", None, 5, ["ls"]])
def test_what_does_not(tmp_path, command):
    """Any other command is denied, with a reason and a way on."""
    denied = decision(tmp_path, asked(command=command))
    assert denied["behavior"] == "deny"
    assert denied["message"].startswith("The command was denied: ")
    assert "Read, Grep" in denied["message"]


def test_a_directory_that_is_gone(tmp_path):
    """Where the directory cannot be looked into, the command is denied."""
    assert decision(tmp_path / "gone", asked(command="git log"))["behavior"] == "deny"


@pytest.mark.parametrize("tool", ["Monitor", "REPL", "PowerShell", "Write", "mcp__a__b", None])
def test_other_tools(tmp_path, tool):
    """There is nobody to ask for what Claude Code's rules do not allow by themselves."""
    denied = decision(tmp_path, asked(tool, command="ls"))
    assert denied["behavior"] == "deny"
    assert "no permission rule allows it" in denied["message"]


def test_what_is_a_question():
    """Only the question for permission is answered here."""
    assert asks_permission(asked())
    for frame in ({"type": "control_request"}, {"type": "user", "request": asked()["request"]}):
        assert not asks_permission(frame)


def test_the_rule_that_makes_it_ask():
    """A Claude Code that does not hold the rule for every tool that runs commands may not serve."""
    *words, settings = permission_prompt.arguments()
    assert words == ["--permission-prompt-tool", "stdio", "--settings"]
    effective = json.loads(settings)
    assert permission_prompt.in_force({"effective": effective})
    assert set(permission_prompt.ASKED) >= {"Bash", "Monitor"}
    for permitted in (None, {}, {"ask": ["Bash"]}):
        assert not permission_prompt.in_force({"effective": {"permissions": permitted}})
    assert not permission_prompt.in_force({})
