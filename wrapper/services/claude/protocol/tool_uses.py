"""Time the tools that Claude Code uses in a turn, each from its call until its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from wrapper.services.claude.protocol.tool_blocks import STRUCTURED, FindAsked
from wrapper.services.events import ToolUsed, UseOutcome
from wrapper.services.tools.mcp import PREFIX

Raw = dict[str, Any]


@dataclass
class _Use:
    """A tool that was called at a time of the clock, and has no result yet."""

    name: str
    since: float
    denied: bool = False


class ToolUses:
    """Follows the frames of one turn. Tools that run at once are timed each.

    Subagents' uses count, too. The client's *functions* do not, by their names upstream, as the
    client runs them itself; nor do the tools that *find_asked* finds, as they do not run before the
    client approves them; nor does the tool that an agent answers with.
    """

    def __init__(
        self,
        functions: Collection[str] = (),
        find_asked: FindAsked = lambda name: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._others = {*functions, STRUCTURED}
        self._find_asked = find_asked
        self._clock = clock
        self._offered: set[str] = set()
        # By the ids of the subagent's own call, if a subagent uses it, and of the use.
        self._running: dict[tuple[str, str], _Use] = {}
        self._ended: list[ToolUsed] = []

    def read(self, frame: Raw) -> None:
        """Take note of the calls and results in *frame*."""
        parent = str(frame.get("parent_tool_use_id") or "")
        match frame["type"]:
            case "system":
                self._read_system(frame)
            case "assistant":
                for block in _blocks(frame, "tool_use"):
                    self._begin((parent, str(block.get("id"))), str(block.get("name")))
            case "user":
                self._deny(_denied(frame))
                for block in _blocks(frame, "tool_result"):
                    self._end(
                        (parent, str(block.get("tool_use_id"))),
                        failed=bool(block.get("is_error")),
                        content=block.get("content"),
                    )

    def take(self) -> list[ToolUsed]:
        """Return the uses that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def rest(self) -> list[ToolUsed]:
        """Return the uses that the end of the turn breaks off."""
        for use in list(self._running):
            self._end(use, failed=True)
        return self.take()

    def _read_system(self, frame: Raw) -> None:
        if frame.get("subtype") == "init":
            tools = {str(name) for name in frame.get("tools") or ()}
            # The model gets the tool Task under another name.
            self._offered = tools | {"Agent"} if "Task" in tools else tools
        elif frame.get("subtype") == "permission_denied":
            self._deny([str(frame.get("tool_use_id"))])

    def _begin(self, use: tuple[str, str], name: str) -> None:
        if name not in self._others and not self._find_asked(name):
            self._running[use] = _Use(name if name in self._offered else "", self._clock())

    def _deny(self, tool_ids: Collection[str]) -> None:
        for (_, tool_id), use in self._running.items():
            if tool_id in tool_ids:
                use.denied = True

    def _end(self, ids: tuple[str, str], *, failed: bool, content: Any = None) -> None:
        use = self._running.pop(ids, None)
        if use is None:
            return
        parent, tool_id = ids
        # What a subagent does is no part of the answer.
        shown = use.name.startswith(PREFIX) and not parent
        output = _text_of(content) if shown else ""
        outcome: UseOutcome = "denied" if use.denied else "failed" if failed else "done"
        seconds = self._clock() - use.since
        self._ended.append(ToolUsed(use.name, outcome, seconds, "" if parent else tool_id, output))


def _text_of(content: Any) -> str:
    """Return the text of a result. What it has beside texts is left out."""
    blocks = content if isinstance(content, list) else [{"text": content}]
    texts = [str(block["text"]) for block in blocks if block.get("text") is not None]
    # JSON can escape lone surrogates, which UTF-8 lacks.
    return "\n".join(texts).encode(errors="replace").decode()


def _blocks(frame: Raw, kind: str) -> Iterator[Raw]:
    content = frame["message"]["content"]
    if isinstance(content, list):
        yield from (block for block in content if block.get("type") == kind)


def _denied(frame: Raw) -> list[str]:
    """Return the ids of the calls that somebody who was asked has denied."""
    return [
        str(row.get("id"))
        for row in frame.get("tool_result_meta") or ()
        if (row.get("permission_decision") or {}).get("decision") == "reject"
    ]
