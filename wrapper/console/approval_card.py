"""What a page shows of a tool use or a question that waits: all of it, so that nothing hides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from wrapper.console.answer_form import Field, fields_of
from wrapper.services.approvals.approval import Approval
from wrapper.services.approvals.presenter import may_hold
from wrapper.services.approvals.preview import COMMANDS, FileChange, file_change

TONES = {"+": "added", "-": "removed", "@": "hunk"}
# What the preview of a tool shows of its input; the rest stands beside it.
IN_PREVIEW = {
    **dict.fromkeys(COMMANDS, ("command",)),
    "Edit": ("file_path", "old_string", "new_string"),
    "MultiEdit": ("file_path",),
    "NotebookEdit": ("notebook_path", "new_source"),
    "WebFetch": ("url",),
    "Write": ("file_path", "content"),
}


@dataclass(frozen=True)
class DiffBlock:
    """Lines of a diff of the same `tone`: added, removed, hunk or same."""

    tone: str
    text: str


@dataclass(frozen=True)
class Card:
    """An approval that waits, as a page shows it.

    A tool has a `change` of a file as `diff`, or else a `code`; a question has `fields`, and None
    where its answers are written as JSON. `rest` is what else the input has, by name. `link` is
    the page that an MCP server wants to have opened.
    """

    approval: Approval
    change: FileChange | None
    diff: tuple[DiffBlock, ...]
    code: str
    rest: tuple[tuple[str, str], ...]
    fields: list[Field] | None
    link: str

    @property
    def schema(self) -> str:
        """Return the JSON Schema of the answers as text."""
        return json.dumps(self.approval.answer_schema, ensure_ascii=False)

    @property
    def session_rule(self) -> str:
        """Return what an approval for the session covers; empty where there is none."""
        return self.approval.session_rule if may_hold(self.approval) else ""


def card_of(approval: Approval) -> Card:
    """Return *approval* as a page shows it."""
    is_tool = approval.kind == "tool"
    change = file_change(approval.tool, approval.input) if is_tool else None
    has_code = is_tool and change is None
    return Card(
        approval,
        change,
        tuple(_blocks(change.hunks)) if change else (),
        approval.preview if has_code else "",
        tuple(_rest(approval)) if is_tool and approval.tool in IN_PREVIEW else (),
        fields_of(approval),
        _link(approval.input.get("url")) if approval.kind == "elicitation" else "",
    )


def _blocks(hunks: str) -> Iterator[DiffBlock]:
    lines = hunks.removesuffix("\n").split("\n")
    for tone, group in groupby(lines, lambda line: TONES.get(line[:1], "same")):
        yield DiffBlock(tone, "\n".join(group))


def _rest(approval: Approval) -> Iterator[tuple[str, str]]:
    for name, value in approval.input.items():
        if name not in IN_PREVIEW[approval.tool]:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield str(name), text


def _link(url: Any) -> str:
    """Return *url* if a browser may open it; a script, for one, is no page."""
    try:
        return url if urlsplit(url).scheme in ("http", "https") else ""
    except (ValueError, TypeError, AttributeError):
        return ""
