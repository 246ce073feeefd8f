"""What an approval shows of a tool request, and what approving it for a session would cover.

Both follow from the request alone. The files that it names are not read: the gateway may read more
than the agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wrapper.services.approvals.approval import ToolRequest
from wrapper.services.approvals.questions import question_lines
from wrapper.services.http_client.urls import clear_host

# A larger request is refused, as nobody should approve what they cannot see as a whole. So is a
# deeper one, as Python copies and writes what is nested by calls within calls.
LONGEST_INPUT = 64 * 1024
DEEPEST_INPUT = 200
CONTEXT_LINES = 3
COMMANDS = frozenset({"Bash", "Monitor", "PowerShell"})
# The tools that change files, with the argument that names the file.
FILE_ARGUMENTS = {
    "Edit": "file_path",
    "MultiEdit": "file_path",
    "NotebookEdit": "notebook_path",
    "Write": "file_path",
}
NO_NEWLINE = "\\ No newline at end of file"


@dataclass(frozen=True)
class FileChange:
    """How a tool would change the file at `path`: the hunks of a unified diff."""

    path: str
    hunks: str


def as_shown(request: ToolRequest) -> ToolRequest:
    """Return *request* with a question mark for each character that cannot be sent in JSON.

    A model may escape half of a surrogate pair.
    """
    text = json.dumps([request.tool, request.input], ensure_ascii=False)
    tool, given = json.loads(text.encode("utf-8", "replace"))
    return replace(request, tool=tool, input=given)


def is_too_large(request: ToolRequest) -> bool:
    """Say whether *request* is too large, or nested too deeply, to be shown as a whole."""
    given = request.input
    return _is_deeper(given, DEEPEST_INPUT) or len(json.dumps(given)) > LONGEST_INPUT


def preview(request: ToolRequest) -> str:
    """Return what would run: the command, the change of a file as a diff, or the input as JSON.

    Of a question it is the text.
    """
    given = request.input
    if request.kind == "question":
        return question_lines(given)
    if request.kind == "elicitation":
        return "\n".join(str(given[name]) for name in ("message", "url") if given.get(name))
    if request.tool in COMMANDS:
        return _text(given.get("command"))
    if request.tool == "WebFetch":
        return _text(given.get("url"))
    if change := file_change(request.tool, given):
        return f"--- {change.path}\n+++ {change.path}\n{change.hunks}"
    return json.dumps(given, ensure_ascii=False, indent=2)


def file_change(tool: str, given: Mapping[str, Any]) -> FileChange | None:
    """Return how *tool* would change a file; None if it is no tool that changes one."""
    changes = [*_changes(tool, given)]
    if not changes:
        return None
    path = _text(given.get(FILE_ARGUMENTS[tool]))
    return FileChange(path, "".join(_hunk(*change) for change in changes))


def session_rule(request: ToolRequest) -> str:
    """Return what approving *request* for the session covers, as a rule.

    It is the same command, or the same host to fetch from: the same URL where it is not clear which
    host that is. Of other tools it is any use.
    """
    tool, given = request.tool, request.input
    if tool in COMMANDS:
        return f"{tool}({_text(given.get('command'))})"
    if tool == "WebFetch":
        url = _text(given.get("url"))
        return f"{tool}(domain:{host})" if (host := clear_host(url)) else f"{tool}({url})"
    return tool


def _is_deeper(value: Any, levels: int) -> bool:
    """Say whether more than *levels* objects and arrays in *value* are in each other."""
    if not isinstance(value, Mapping | list):
        return False
    parts = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)


def _changes(tool: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the old and new text of each change that *tool* makes to a file."""
    if tool == "Write":
        yield "", _text(given.get("content"))
    elif tool == "NotebookEdit":
        yield "", _text(given.get("new_source"))
    elif tool == "Edit":
        yield _text(given.get("old_string")), _text(given.get("new_string"))
    elif tool == "MultiEdit" and isinstance(edits := given.get("edits"), list):
        for edit in (edit for edit in edits if isinstance(edit, dict)):
            yield from _changes("Edit", edit)


def _hunk(old: str, new: str) -> str:
    """Return a hunk of a unified diff. Where it stands in the file is not known.

    It is made in linear time: the texts are the model's, and may be made to cost a diff much.
    """
    before, after = _lines(old, new), _lines(new, old)
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    first = max(0, head - CONTEXT_LINES)
    last = min(tail, CONTEXT_LINES)
    middle = before[head : len(before) - tail], after[head : len(after) - tail]
    lines = [
        "@@ @@",
        *(f" {line}" for line in before[first:head]),
        *(f"-{line}" for line in middle[0]),
        *(f"+{line}" for line in middle[1]),
        *(f" {line}" for line in before[len(before) - tail :][:last]),
    ]
    return "\n".join(lines) + "\n"


def _lines(text: str, other: str) -> list[str]:
    """Return the lines of *text*; the last one says if it lacks the newline that ends *other*.

    Only a newline ends a line: another character, such as a carriage return, is part of what
    changes.
    """
    *lines, last = text.split("\n")
    if not last:
        return lines
    return [*lines, f"{last}\n{NO_NEWLINE}" if other.endswith("\n") else last]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines are the same at the beginning of both."""
    count = 0
    for line, same in zip(one, other, strict=False):
        if line != same:
            break
        count += 1
    return count


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
