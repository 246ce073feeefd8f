"""The uses of tools: which count, how they ended, and how long each took."""

from __future__ import annotations

from wrapper.services.claude.protocol.tool_uses import ToolUses
from wrapper.services.events import ToolUsed


class Turn:
    """A turn whose clock shows `now`, and the uses that it reported."""

    def __init__(self, *functions):
        self.now = 100.0
        self.uses = ToolUses(functions, clock=lambda: self.now)
        tools = ["Bash", "Read", "mcp__docs__add", "mcp__client__weather", "Task"]
        self.uses.read({"type": "system", "subtype": "init", "tools": tools})

    def call(self, name, tool_id="t1", at=0.0, parent=None):
        self.now = 100.0 + at
        block = {"type": "tool_use", "id": tool_id, "name": name, "input": {}}
        frame = {"type": "assistant", "message": {"content": [block]}}
        self.uses.read({**frame, "parent_tool_use_id": parent})

    def result(self, tool_id="t1", at=0.0, parent=None, **more):
        self.now = 100.0 + at
        block = {"type": "tool_result", "tool_use_id": tool_id, "content": "text", **more}
        decision = {"decision": "reject" if more.get("rejected") else "accept"}
        meta = [{"id": tool_id, "permission_decision": decision}]
        frame = {"type": "user", "message": {"content": [block]}, "tool_result_meta": meta}
        self.uses.read({**frame, "parent_tool_use_id": parent})

    def deny(self, tool_id="t1"):
        denial = {"subtype": "permission_denied", "tool_use_id": tool_id}
        self.uses.read({"type": "system", **denial})


def test_each_of_several():
    """Tools that run at once are timed each, in the order of their results."""
    turn = Turn()
    turn.call("Bash", "slow", at=0)
    turn.call("mcp__docs__add", "quick", at=1)
    turn.result("quick", at=1.5)
    turn.result("slow", at=3)
    quick, slow = ToolUsed("mcp__docs__add", "done", 0.5), ToolUsed("Bash", "done", 3.0)
    assert turn.uses.take() == [quick, slow]
    assert turn.uses.take() == []


def test_how_they_end():
    """A denial is no failure, and what the turn's end broke off is one."""
    turn = Turn()
    turn.call("Bash")
    turn.result(is_error=True)
    turn.call("Read", at=1)
    turn.deny()
    turn.result(at=1, is_error=True)
    turn.call("Read", at=1)
    turn.result(at=1, is_error=True, rejected=True)
    turn.call("Read", at=2)
    turn.now += 4
    denied = ToolUsed("Read", "denied", 0.0)
    assert turn.uses.take() == [ToolUsed("Bash", "failed", 0.0), denied, denied]
    assert turn.uses.rest() == [ToolUsed("Read", "failed", 4.0)]
    assert turn.uses.rest() == []


def test_names():
    """A tool that was not offered has no name, as the model may have invented it."""
    turn = Turn()
    turn.call("NoSuchTool")
    turn.result(is_error=True)
    assert turn.uses.take() == [ToolUsed("", "failed", 0.0)]


def test_what_does_not_count():
    """The client's functions, the structured answer, and other results are no uses of tools."""
    turn = Turn("mcp__client__weather")
    turn.call("mcp__client__weather", "t1")
    turn.call("StructuredOutput", "t2")
    for tool_id in ("t1", "t2", "t3"):
        turn.result(tool_id)
    turn.deny("t3")
    turn.uses.read({"type": "user", "message": {"content": "text"}})
    turn.uses.read({"type": "assistant", "message": {"content": [{"type": "text"}]}})
    assert turn.uses.rest() == []


def test_subagents():
    """The tools of a subagent count as the agent's own do."""
    turn = Turn()
    turn.call("Agent")
    turn.call("Read", at=1, parent="t1")
    turn.result(at=2, parent="t1")
    turn.result(at=3)
    assert turn.uses.take() == [ToolUsed("Read", "done", 1.0), ToolUsed("Agent", "done", 3.0)]


def test_output_of_servers_tools():
    """The text of a result comes with it, if an MCP server's tool gave it."""
    turn = Turn()
    turn.call("mcp__docs__add", "t1")
    content = [
        {"type": "text", "text": "one"},
        {"type": "image"},
        {"type": "text", "text": "\ud800"},
    ]
    turn.result("t1", content=content)
    turn.call("mcp__docs__add", "t2")
    turn.result("t2", content="two")
    turn.call("Bash", "t3")
    turn.result("t3", content="three")
    outputs = [(used.id, used.output) for used in turn.uses.take()]
    assert outputs == [("t1", "one\n?"), ("t2", "two"), ("t3", "")]
    turn.call("mcp__docs__add", "t4", parent="t1")
    turn.result("t4", parent="t1", content="a subagent's")
    (used,) = turn.uses.take()
    assert (used.id, used.output) == ("", "")
