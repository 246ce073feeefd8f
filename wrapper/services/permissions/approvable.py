"""What an approval may allow: no more than the gateway's settings and the caller's limits do.

Callers approve what their own agents do. So where commands are confined, nothing that an approval
allows may leave the confinement: a file outside of the agent's directory could be one that the
gateway itself runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wrapper.services.approvals.preview import FILE_ARGUMENTS
from wrapper.services.approvals.questions import QUESTION_TOOL
from wrapper.services.permissions.confinement import SHELLS, Confinement, confinement
from wrapper.services.permissions.readonly.files import Files
from wrapper.services.permissions.readonly.syntax import Denied
from wrapper.services.turn import Approvable
from wrapper.settings import Settings

# The reasons for which Claude Code also asks in the mode acceptEdits.
_GUARDED = frozenset({"workingDir", "safetyCheck"})


@dataclass(frozen=True)
class PermissionRequest:
    """A tool that Claude Code asks about, in the directory *root*; `kind` is its reason's type."""

    tool: str
    input: Mapping[str, Any]
    root: str
    kind: str = ""


def approvable(settings: Settings, *, edits_only: bool) -> Approvable:
    """Return what may be approved. *edits_only*: a limit is the mode acceptEdits."""
    if edits_only:
        return "edits"
    free = confinement(settings) in (Confinement.USER, Confinement.OPEN)
    return "anything" if free else "inside"


def check_approvable(request: PermissionRequest, most: Approvable) -> None:
    """Raise Denied where no approval may allow *request*; *most* is what one may allow."""
    tool, is_edit = request.tool, request.tool in FILE_ARGUMENTS
    if most == "nothing":
        raise Denied("there is nobody to ask")
    if tool == "ExitPlanMode":
        raise Denied("only a request sets the mode")
    if tool == QUESTION_TOOL or most == "anything":
        return
    if most == "edits" and not is_edit and not tool.startswith("mcp__"):
        raise Denied("the gateway's settings or the key allow no more than acceptEdits")
    if tool in SHELLS and tool != "Bash":
        raise Denied("it runs commands without confinement")
    if request.kind in _GUARDED:
        raise Denied("it would reach a file outside of the working directory, or a guarded one")
    if is_edit:
        _check_inside(str(request.input.get(FILE_ARGUMENTS[tool])), request.root)


def _check_inside(path: str, root: str) -> None:
    try:
        Files(root).check(path)
    except (OSError, ValueError):
        raise Denied("its path cannot be read") from None
