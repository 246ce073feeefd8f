"""The calls of MCP servers' tools that the client has approved: they run before the prompt.

Claude Code runs them outside of the conversation. So its permission rules do not hold for them, and
the turn has only calls that its caller may make.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from wrapper.json_text import Json
from wrapper.services.claude.protocol.content_blocks import call_id
from wrapper.services.claude.protocol.frames import Frame, control
from wrapper.services.events import ApprovedCallRan, ToolUsed
from wrapper.services.tools.mcp import tool_named
from wrapper.services.turn import ToolCall, Turn, approved_calls

MOST_CHARACTERS = 100_000
CUT = "\n(The rest is left out.)"
NOTHING = "(no output)"
# What the model's API takes in a result.
_KINDS = ("text", "image", "document")


class ApprovedCalls:
    """The approved calls of *turn*. Their results replace what stands for them in its *prompt*.

    `events` report those that have run. `running` says that the results of some are missing.
    """

    def __init__(self, turn: Turn, prompt: Frame, clock: Callable[[], float] = time.monotonic):
        self._calls = approved_calls(turn.messages) if turn.profile == "agent" else ()
        self._prompt = prompt
        self._clock = clock
        self.events: list[ApprovedCallRan | ToolUsed] = []

    @property
    def running(self) -> bool:
        return len(self.events) < 2 * len(self._calls)

    def __iter__(self) -> Iterator[tuple[ToolCall, Frame]]:
        """Yield each call, and the control request that makes Claude Code run it.

        How it ended must be added before the next.
        """
        for number, call in enumerate(self._calls):
            self._call, self._since = call, self._clock()
            tool = tool_named(call.server, call.name)
            arguments = {"tool": tool, "arguments": json.loads(call.arguments)}
            yield call, control(f"mcp_call_{number}", {"subtype": "mcp_call", **arguments})

    def add_response(self, response: Frame) -> None:
        """Add Claude Code's response to the last request."""
        failed = response.get("subtype") == "error"
        content = (response.get("response") or {}).get("content")
        self._add(f"Error: {response.get('error')}" if failed else content, failed=failed)

    def add_result(self, result: Json) -> None:
        """Add the result of the last call, as the server itself has given it."""
        failed, structured = bool(result.get("isError")), result.get("structuredContent")
        content: Any = [_block_of(given) for given in result.get("content") or ()]
        if structured is not None and not failed:  # Claude Code prefers it, too
            content = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
        self._add(content, failed=failed)

    def _add(self, content: Any, *, failed: bool) -> None:
        call, blocks = self._call, [*_blocks(content)]
        self._fill(call, blocks or [{"type": "text", "text": NOTHING}], failed=failed)
        used = ToolUsed(
            tool_named(call.server, call.name),
            "failed" if failed else "done",
            self._clock() - self._since,
            output="\n".join(block["text"] for block in blocks if block["type"] == "text"),
        )
        self.events += [ApprovedCallRan(call, used), used]

    def _fill(self, call: ToolCall, blocks: list[Frame], *, failed: bool) -> None:
        """Put the result of *call* into the prompt."""
        for block in self._prompt["message"]["content"]:
            if block.get("tool_use_id") == call_id(call.id):
                block.update(content=blocks, **({"is_error": True} if failed else {}))


def _block_of(given: Json) -> Frame:
    """Return a content block of MCP in the form of the model's API."""
    match given.get("type"):
        case "text":
            return {"type": "text", "text": str(given.get("text"))}
        case "image":
            source = {"media_type": given.get("mimeType"), "data": given.get("data")}
            return {"type": "image", "source": {"type": "base64", **source}}
        case _:
            return {"type": "text", "text": json.dumps(given, ensure_ascii=False)}


def _blocks(content: Any) -> Iterator[Frame]:
    """Yield the blocks of a result that the model's API takes, with a bounded length of text."""
    left = MOST_CHARACTERS
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
        if block.get("type") not in _KINDS or block.get("text", "-").strip() == "":
            continue
        if block["type"] == "text":
            text, left = block["text"], left - len(block["text"])
            block = {"type": "text", "text": text if left >= 0 else text[:left] + CUT}
        yield block
        if left < 0:
            return
