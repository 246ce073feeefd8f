"""The output items about MCP servers: the tools that one lists, and the calls of its tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wrapper.json_text import Json
from wrapper.services.events import ToolsListed, ToolUse, ToolUsed
from wrapper.services.fronts.response_items import FunctionCallItem
from wrapper.services.fronts.tool_names import ToolName
from wrapper.services.tools.mcp import PREFIX, normalise, read_rule


@dataclass(frozen=True)
class McpCall:
    """A call of a tool with this `name`, of the server with this `label`, and how it ended.

    `approval` is the id of the request for its approval, if there was one.
    """

    label: str
    name: str
    arguments: str
    used: ToolUsed
    approval: str | None = None


class McpCalls:
    """Pairs the calls of servers' tools with their results. *servers* are named in the request."""

    def __init__(self, servers: Iterable[str]):
        self._labels = {normalise(name): name for name in servers}
        self._listed: set[str] = set()
        # Claude Code's names of tools do not show what they replace.
        self._names: dict[str, str] = {}
        self._running: dict[str, ToolUse] = {}

    def list(self, listed: ToolsListed) -> bool:
        """Take note of a server's tools, and say whether they were not listed before."""
        prefix = f"{PREFIX}{normalise(listed.server)}__"
        names = [str(tool["name"]) for tool in listed.tools]
        self._names.update({prefix + normalise(name): name for name in names})
        new = listed.server not in self._listed
        self._listed.add(listed.server)
        return new

    def begin(self, use: ToolUse) -> None:
        """Take note of the use of a tool, if it is a server's."""
        if use.name.startswith(PREFIX):
            self._running[use.id] = use

    def end(self, used: ToolUsed) -> McpCall | None:
        """Return the call that has ended, None if it is of another tool or a subagent's."""
        use = self._running.pop(used.id, None)
        rule = read_rule(use.name) if use else None
        if use is None or rule is None:
            return None
        label = self._labels.get(rule.server, rule.server)
        return McpCall(label, self.name_of(use.name, rule.tool), use.arguments or "{}", used)

    def name_of(self, upstream: str, tool: str) -> str:
        """Return the server's own name of a *tool* that has the name *upstream* for the model."""
        return self._names.get(upstream, tool)


class McpListItem:
    """The tools of a server that the request brings."""

    kind: ClassVar[str] = "mcp_list_tools"

    def __init__(self, id_: str, index: int, listed: ToolsListed):
        self._id = id_
        self._where = {"item_id": id_, "output_index": index}
        self._listed = listed

    def item(self, status: str) -> Json:
        told = self._listed.tools if status != "in_progress" else ()
        shared = {"id": self._id, "type": self.kind, "server_label": self._listed.server}
        return {**shared, "tools": [_tool(tool) for tool in told], "error": None}

    def begin(self) -> Iterable[Json]:
        return ({"type": "response.mcp_list_tools.in_progress", **self._where},)

    def end(self) -> Iterable[Json]:
        return ({"type": "response.mcp_list_tools.completed", **self._where},)


class McpCallItem:
    """A call of a server's tool, which is told once it has ended."""

    kind: ClassVar[str] = "mcp_call"

    def __init__(self, id_: str, index: int, call: McpCall):
        self._id = id_
        self._where = {"item_id": id_, "output_index": index}
        self._call = call

    def item(self, status: str) -> Json:
        call, over = self._call, status != "in_progress"
        failed = call.used.outcome != "done"
        content = [{"type": "text", "text": call.used.output}]
        error = {"type": "mcp_tool_execution_error", "content": content}
        return {
            "id": self._id,
            "type": self.kind,
            "status": ("failed" if failed else "completed") if over else "in_progress",
            "server_label": call.label,
            "name": call.name,
            "arguments": call.arguments if over else "",
            "approval_request_id": call.approval,
            "output": call.used.output if over and not failed else None,
            "error": error if over and failed else None,
        }

    def begin(self) -> Iterable[Json]:
        arguments = self._call.arguments
        event = "response.mcp_call_arguments"
        yield {"type": "response.mcp_call.in_progress", **self._where}
        yield {"type": f"{event}.delta", **self._where, "delta": arguments}
        yield {"type": f"{event}.done", **self._where, "arguments": arguments}

    def end(self) -> Iterable[Json]:
        outcome = "completed" if self._call.used.outcome == "done" else "failed"
        return ({"type": f"response.mcp_call.{outcome}", **self._where},)


class ApprovalRequestItem(FunctionCallItem):
    """A call of an MCP server's tool that the client is to approve. Its stream has it whole."""

    kind: ClassVar[str] = "mcp_approval_request"

    def __init__(self, id_: str, index: int, label: str, name: str):
        super().__init__(id_, index, id_, ToolName(name))
        self._label = label

    def item(self, status: str) -> Json:
        shared = {"id": self._id, "type": self.kind, "server_label": self._label}
        return {**shared, "name": self._name.name, **self._content()}

    def add(self, arguments: str) -> Iterable[Json]:
        self._arguments.append(arguments)
        return ()

    def end(self) -> Iterable[Json]:
        return ()


def _tool(tool: Mapping[str, Any]) -> Json:
    return {
        "name": tool["name"],
        "description": tool.get("description"),
        "input_schema": tool["inputSchema"],
        "annotations": tool.get("annotations"),
    }
