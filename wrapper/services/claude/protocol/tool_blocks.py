"""Turn `tool_use` blocks into events: calls, structured answers, and uses of other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wrapper.services.claude.protocol.answer_text import StructuredAnswer
from wrapper.services.events import CallDelta, CallStarted, Event, TextDelta, ToolUse
from wrapper.services.tools.mcp import McpTool

# The tool that an agent gives an answer with that must fit a schema.
STRUCTURED = "StructuredOutput"

# Returns the MCP server's tool of a name, if the client must approve its calls.
FindAsked = Callable[[str], McpTool | None]


class ToolBlocks:
    """Turns `tool_use` blocks into events.

    *functions* maps upstream names to the client's names. `calls` counts the calls of these, and
    those of tools that *find_asked* finds. `written` is the input of StructuredOutput as the model
    wrote it.
    """

    def __init__(
        self,
        functions: Mapping[str, str],
        structured: StructuredAnswer | None,
        find_asked: FindAsked = lambda name: None,
    ):
        self._functions = functions
        self._structured = structured
        self._find_asked = find_asked
        self._tool: str | None = None
        self._id = ""
        self._asked: McpTool | None = None
        self._arguments = ""
        self.calls = 0
        self.written = ""

    def open(self, block: dict[str, Any]) -> Iterator[Event]:
        """Begin a block, of whatever type."""
        self._tool = str(block["name"]) if block.get("type") == "tool_use" else None
        self._id = str(block.get("id"))
        self._arguments = ""
        if self._structured and self._is_answer():
            self._structured.given = True
        self._asked = self._find_asked(self._tool) if self._tool else None
        if self._is_call():
            name = self._functions.get(str(self._tool), str(self._tool))
            yield CallStarted(self.calls, str(block["id"]), name, self._asked)

    def feed(self, piece: str) -> Iterator[Event]:
        """Add a *piece* of the block's input."""
        self._arguments += piece
        if self._is_call() and piece:
            yield CallDelta(self.calls, piece)
        elif self._is_answer() and piece:
            yield TextDelta(piece)

    def close(self) -> Iterator[Event]:
        """End the block; an input without any characters is an empty object."""
        if self._is_call():
            if not self._arguments:
                yield CallDelta(self.calls, "{}")
            self.calls += 1
        elif self._is_answer():
            if not self._arguments:
                yield TextDelta("{}")
        elif self._tool:
            if self._tool == STRUCTURED:
                self.written = self._arguments
            yield ToolUse(self._tool, self._arguments, self._id)
        self._tool = None

    def _is_call(self) -> bool:
        return self._tool in self._functions or bool(self._tool and self._asked)

    def _is_answer(self) -> bool:
        return bool(self._structured and self._tool and self._tool == self._structured.tool)
