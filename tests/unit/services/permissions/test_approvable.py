"""What an approval may allow."""

import os

import pytest

from wrapper.services.permissions.approvable import (
    PermissionRequest,
    approvable,
    check_approvable,
)
from wrapper.services.permissions.readonly.syntax import Denied
from wrapper.settings import Settings


def denied(tool, most, root="/root", kind="", **given):
    try:
        check_approvable(PermissionRequest(tool, given, str(root), kind), most)
    except Denied:
        return True
    return False


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, "inside"),
        ({"claude_sandbox": True}, "inside"),
        ({"claude_tools": ("Read",)}, "inside"),
        ({"claude_user": "nobody"}, "anything"),
        ({"allow_unsandboxed_bash": True}, "anything"),
    ],
)
def test_by_settings(settings, most):
    """Files elsewhere can be approved only where commands reach them, too."""
    assert approvable(Settings(**settings), edits_only=False) == most
    assert approvable(Settings(**settings), edits_only=True) == "edits"


@pytest.mark.parametrize(
    ("tool", "edits", "inside"),
    [
        ("Edit", False, False),
        ("NotebookEdit", False, False),
        ("mcp__a__b", False, False),
        ("WebFetch", True, False),
        ("Bash", True, False),
        ("Monitor", True, True),
        ("REPL", True, True),
    ],
)
def test_by_tool(tool, edits, inside):
    """Under acceptEdits only edits and MCP tools can be approved, else what stays confined."""
    given = {"file_path": "a", "notebook_path": "b"}
    assert denied(tool, "edits", **given) is edits
    assert denied(tool, "inside", **given) is inside
    assert not denied(tool, "anything", **given)
    assert denied(tool, "nothing", **given)


@pytest.mark.parametrize("most", ["edits", "inside", "anything"])
def test_questions(most):
    """Questions wait for answers. The end of plan mode cannot be approved."""
    assert not denied("AskUserQuestion", most)
    assert denied("ExitPlanMode", most)


def test_files_elsewhere(tmp_path):
    """No path leads out of the directory, and no guarded file is approved."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    os.symlink(outside, root / "link")
    for path in ("../x", "/etc/x", "link/x", str(outside / "x"), "a\0b"):
        assert denied("Write", "inside", root, file_path=path), path
        assert not denied("Write", "anything", root, file_path=path)
    assert not denied("Write", "inside", root, file_path=str(root / "sub" / "x"))
    for kind in ("workingDir", "safetyCheck"):
        assert denied("Write", "edits", root, kind, file_path="x")
        assert denied("Read", "inside", root, kind, file_path="x")
