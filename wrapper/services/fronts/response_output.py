"""The output of a response: opens and closes its items as a turn's events come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wrapper.json_text import Json
from wrapper.services.events import (
    ApprovedCallRan,
    CallDelta,
    CallStarted,
    Event,
    ReasoningDelta,
    RedactedThought,
    TextDelta,
    Thought,
    ToolsListed,
    ToolUse,
    ToolUsed,
)
from wrapper.services.fronts.chat import describe
from wrapper.services.fronts.mcp_items import (
    ApprovalRequestItem,
    McpCall,
    McpCallItem,
    McpCalls,
    McpListItem,
)
from wrapper.services.fronts.response_items import (
    CustomCallItem,
    FunctionCallItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
)
from wrapper.services.fronts.tool_names import ToolName, ToolNames
from wrapper.services.messages.thinking_codec import ThinkingPart, dump_thinking
from wrapper.services.turn import RedactedThinking, Thinking

ToolEvent = ToolUse | ToolUsed | ToolsListed
# After these the model writes no more of a call.
_OPENING = TextDelta | ReasoningDelta | Thought | RedactedThought | CallStarted | ApprovedCallRan
ID_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "mcp_call": "mcp",
}


class ResponseOutput:
    """The output items of the response whose id ends in *token*. One item at a time is open.

    *summary* shows the model's thinking, *encrypted* adds its signed form, and *tool_use* shows the
    engine's use of its own tools. Calls of MCP servers are items of their own; the request names
    these *servers*.
    """

    def __init__(
        self,
        token: str,
        names: ToolNames,
        servers: Iterable[str] = (),
        *,
        summary: bool,
        encrypted: bool,
        tool_use: bool,
    ):
        self.items: list[Json] = []
        # The items as they are kept: with signed thinking.
        self.complete: list[Json] = []
        self._token = token
        self._names = names
        self._summary = summary
        self._encrypted = encrypted
        self._tool_use = tool_use
        self._open: OutputItem | None = None
        # How many items the stream has begun, with a call that was cut.
        self._begun = 0
        self._mcp_calls = McpCalls(servers)
        # What happened to tools while a call was written, which items of its own would cut.
        self._late: list[ToolEvent] = []

    def add(self, event: Event) -> Iterator[Json]:
        """Yield the events of the stream for *event*."""
        if isinstance(self._open, FunctionCallItem):
            if isinstance(event, ToolEvent):
                self._late.append(event)
                return
            if self._late and isinstance(event, _OPENING):
                yield from self.close()
        yield from self._add(event)

    def _add(self, event: Event) -> Iterator[Json]:
        match event:
            case TextDelta():
                message = self._open
                if not isinstance(message, MessageItem):
                    message = MessageItem(*self._next("message"))
                    yield from self._begin(message)
                yield from message.add(event.text)
            case CallDelta() if isinstance(self._open, FunctionCallItem):
                yield from self._open.add(event.arguments)
            case ReasoningDelta() if self._summary:
                yield from self._summarise(event.text)
            case ToolUse() | ToolUsed() | ToolsListed():
                yield from self._add_tool(event)
            case ReasoningDelta():
                yield from self._reason()
            case Thought():
                yield from self._reason(Thinking(event.text, event.signature, event.prefix))
            case RedactedThought():
                yield from self._reason(RedactedThinking(event.data, event.prefix))
            case CallStarted() | ApprovedCallRan():
                yield from self._begin_call(event)

    def close(self, status: str = "completed") -> Iterator[Json]:
        """Yield the events that end the open item, and those of what it kept from being told.

        A call that was cut keeps its index in the stream, and is not in the response.
        """
        yield from self._end(status)
        late, self._late = self._late, []
        for event in late:
            yield from self._add_tool(event)
        yield from self._end(status)

    def _end(self, status: str) -> Iterator[Json]:
        """Yield the events that end the open item. A call that was cut is left out."""
        item, self._open = self._open, None
        if item is None or _is_cut(item, status):
            return
        if isinstance(item, ApprovalRequestItem):
            yield self._added(item, status)
        yield from item.end()
        done = item.item(status)
        self.items.append(done)
        self.complete.append(_with_thinking(item, done))
        index = self._begun - 1
        yield {"type": "response.output_item.done", "output_index": index, "item": done}

    def _begin(self, item: OutputItem) -> Iterator[Json]:
        """Yield the events that end the open item, and those that begin *item*."""
        yield from self.close()
        self._open = item
        yield self._added(item, "in_progress")
        yield from item.begin()

    def _add_tool(self, event: ToolEvent) -> Iterator[Json]:
        match event:
            case ToolUse():
                self._mcp_calls.begin(event)
                if self._tool_use:
                    yield from self._summarise(describe(event))
            case ToolUsed():
                if call := self._mcp_calls.end(event):
                    yield from self._tell(McpCallItem(*self._next("mcp_call"), call))
            case ToolsListed() if self._mcp_calls.list(event):
                yield from self._tell(McpListItem(*self._next("mcp_list_tools"), event))

    def _tell(self, item: OutputItem) -> Iterator[Json]:
        """Yield the events of an *item* that is complete at once."""
        yield from self._begin(item)
        yield from self.close()

    def _begin_call(self, event: CallStarted | ApprovedCallRan) -> Iterator[Json]:
        if isinstance(event, ApprovedCallRan):
            call = event.call
            ran = McpCall(call.server, call.name, call.arguments, event.used, call.id)
            yield from self._tell(McpCallItem(*self._next("mcp_call"), ran))
        elif asked := event.asked:
            name = self._mcp_calls.name_of(event.name, asked.tool)
            place = self._next("mcp_approval_request")
            yield from self.close()
            self._open = ApprovalRequestItem(*place, asked.server, name)
        else:
            yield from self._begin(self._call(event))

    def _added(self, item: OutputItem, status: str) -> Json:
        added = {"type": "response.output_item.added", "output_index": self._begun}
        self._begun += 1
        return {**added, "item": item.item(status)}

    def _summarise(self, text: str) -> Iterator[Json]:
        yield from self._reason()
        if isinstance(self._open, ReasoningItem):
            yield from self._open.add(text)

    def _reason(self, block: ThinkingPart | None = None) -> Iterator[Json]:
        """Yield the events that open a reasoning item, if none is open, and add *block* to it."""
        reasoning = self._open
        if not isinstance(reasoning, ReasoningItem):
            reasoning = ReasoningItem(*self._next("reasoning"), encrypted=self._encrypted)
            yield from self._begin(reasoning)
        if block:
            reasoning.blocks.append(block)

    def _call(self, event: CallStarted) -> FunctionCallItem:
        name = self._names.get(event.name, ToolName(event.name))
        kind = CustomCallItem if name.kind == "custom" else FunctionCallItem
        return kind(*self._next(kind.kind), event.id, name)

    def _next(self, kind: str) -> tuple[str, int]:
        """Return the id and the index of the next item."""
        # A request for approval that is open begins in the stream once it is whole.
        index = self._begun + isinstance(self._open, ApprovalRequestItem)
        return f"{ID_PREFIXES[kind]}_{self._token}_{index}", index


def _is_cut(item: OutputItem, status: str) -> bool:
    """Say whether *item* is a call that was not written to its end."""
    return status == "incomplete" and isinstance(item, FunctionCallItem)


def _with_thinking(item: OutputItem, done: Json) -> Json:
    if isinstance(item, ReasoningItem) and item.blocks:
        return {**done, "encrypted_content": dump_thinking(item.blocks)}
    return done
