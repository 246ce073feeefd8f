"""The output items about MCP servers, whole and as a stream's events."""

from __future__ import annotations

from wrapper.services.events import (
    ApprovedCallRan,
    CallDelta,
    CallStarted,
    TextDelta,
    ToolsListed,
    ToolUse,
    ToolUsed,
)
from wrapper.services.fronts.response_output import ResponseOutput
from wrapper.services.tools.mcp import McpTool
from wrapper.services.turn import ToolCall

SCHEMA = {"type": "object"}
LISTED = ToolsListed(
    "my crm", ({"name": "find all", "inputSchema": SCHEMA, "description": "Finds."},)
)
NAME = "mcp__my_crm__find_all"


def output_of(*events, servers=("my crm", "docs"), **options):
    """Return the items and the stream's events."""
    given = {"summary": False, "encrypted": False, "tool_use": False, **options}
    output = ResponseOutput("1", {}, servers, **given)
    told = [event for added in events for event in output.add(added)]
    told += output.close()
    return output.items, told


def test_list():
    """The tools of a server are an item, once."""
    (item,), told = output_of(LISTED, LISTED)
    assert item == {
        "id": "mcpl_1_0",
        "type": "mcp_list_tools",
        "server_label": "my crm",
        "tools": [
            {
                "name": "find all",
                "description": "Finds.",
                "input_schema": SCHEMA,
                "annotations": None,
            }
        ],
        "error": None,
    }
    assert [event["type"].removeprefix("response.") for event in told] == [
        *("output_item.added", "mcp_list_tools.in_progress"),
        *("mcp_list_tools.completed", "output_item.done"),
    ]
    assert told[0]["item"]["tools"] == []


def test_call():
    """A call is an item once it has ended, with the names that the client and the server use."""
    use = ToolUse(NAME, '{"a": 1.0}', "t1")
    used = ToolUsed(NAME, "done", 0.5, "t1", "Found.")
    (_, text, call, last), told = output_of(
        LISTED, TextDelta("Let me see."), use, used, TextDelta("Done.")
    )
    assert (text["type"], last["type"]) == ("message", "message")
    assert call == {
        "id": "mcp_1_2",
        "type": "mcp_call",
        "status": "completed",
        "server_label": "my crm",
        "name": "find all",
        "arguments": '{"a": 1.0}',
        "approval_request_id": None,
        "output": "Found.",
        "error": None,
    }
    added = next(event for event in told if event.get("item", {}).get("type") == "mcp_call")
    assert (added["item"]["status"], added["item"]["arguments"]) == ("in_progress", "")
    assert [event["type"] for event in told if event.get("item_id") == "mcp_1_2"] == [
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.completed",
    ]


def test_calls_that_fail():
    """A call that failed or was denied has an error in place of an output."""
    for outcome in ("failed", "denied"):
        use = ToolUse("mcp__docs__add", "", "t1")
        (call,), told = output_of(use, ToolUsed(use.name, outcome, 0.0, "t1", "No."))
        assert (call["status"], call["arguments"], call["output"]) == ("failed", "{}", None)
        content = [{"type": "text", "text": "No."}]
        assert call["error"] == {"type": "mcp_tool_execution_error", "content": content}
        assert told[-2]["type"] == "response.mcp_call.failed"


def test_calls_at_once():
    """Calls that run at once are items in the order of their results."""
    uses = [ToolUse("mcp__docs__a", "{}", "t1"), ToolUse("mcp__docs__b", "{}", "t2")]
    ends = [
        ToolUsed("mcp__docs__b", "done", 0.0, "t2"),
        ToolUsed("mcp__docs__a", "done", 0.0, "t1"),
    ]
    items, _ = output_of(*uses, *ends)
    assert [item["name"] for item in items] == ["b", "a"]


def test_other_tools():
    """Claude Code's own tools, and what subagents use, are no items."""
    items, _ = output_of(
        ToolUse("Bash", "{}", "t1"),
        ToolUsed("Bash", "done", 0.0, "t1"),
        ToolUsed("mcp__docs__add", "done", 0.0, "t9", "of a subagent"),
    )
    assert items == []


def test_unknown_servers():
    """A server that the request does not name has the name that rules have."""
    use = ToolUse("mcp__a_b__c_d", "{}", "t1")
    (call,), _ = output_of(use, ToolUsed(use.name, "done", 0.0, "t1"), servers=())
    assert (call["server_label"], call["name"]) == ("a_b", "c_d")


def test_approval_request():
    """A call that needs approval is an item that the stream tells as a whole."""
    asked = McpTool("my crm", "find_all")
    events = (LISTED, CallStarted(0, "t1", NAME, asked), CallDelta(0, '{"a":'), CallDelta(0, " 1}"))
    (_, item), told = output_of(*events)
    assert item == {
        "id": "mcpr_1_1",
        "type": "mcp_approval_request",
        "server_label": "my crm",
        "name": "find all",
        "arguments": '{"a": 1}',
    }
    added, done = told[-2:]
    assert (added["item"], done["item"]) == (item, item)
    assert (added["type"], added["output_index"]) == ("response.output_item.added", 1)
    assert done == {**added, "type": "response.output_item.done"}


def test_approved_call():
    """A call that was approved and ran is an item that names the approval."""
    call = ToolCall("mcpr_0_0", "find all", "{}", "my crm")
    ran = ApprovedCallRan(call, ToolUsed(NAME, "failed", 0.5, output="Not found."))
    (item,), _ = output_of(ran)
    assert (item["type"], item["approval_request_id"]) == ("mcp_call", "mcpr_0_0")
    assert (item["status"], item["output"]) == ("failed", None)
    assert item["error"]["content"] == [{"type": "text", "text": "Not found."}]


def test_call_that_ends_while_another_is_written():
    """A server's call that ends while the model writes a function call is told after that."""
    use = ToolUse(NAME, "{}", "t1")
    used = ToolUsed(NAME, "done", 0.5, "t1", "Found.")
    written = (CallStarted(0, "c1", "f"), CallDelta(0, '{"a":'), used, CallDelta(0, "1}"))
    items, told = output_of(use, *written)
    assert [item["type"] for item in items] == ["function_call", "mcp_call"]
    assert items[0]["arguments"] == '{"a":1}'
    assert [event["output_index"] for event in told] == sorted(e["output_index"] for e in told)
    items, _ = output_of(use, *written, CallStarted(1, "c2", "f"), CallDelta(1, "{}"))
    assert [item["type"] for item in items] == ["function_call", "mcp_call", "function_call"]
    assert items[2]["arguments"] == "{}"


def test_list_and_use_while_a_call_is_written():
    """Neither a list of tools nor a tool's use ends a call that the model writes."""
    written = (CallStarted(0, "c1", "f"), CallDelta(0, '{"a":'))
    items, _ = output_of(*written, LISTED, ToolUse("Bash", "{}"), CallDelta(0, "1}"), tool_use=True)
    assert [item["type"] for item in items] == ["function_call", "mcp_list_tools", "reasoning"]
    assert items[0]["arguments"] == '{"a":1}'
