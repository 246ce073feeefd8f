"""Approved calls of MCP servers' tools: how they are run, and what the model gets of them."""

from __future__ import annotations

import pytest

from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.approved_calls import CUT, MOST_CHARACTERS, ApprovedCalls
from wrapper.services.events import ApprovedCallRan, ToolUsed
from wrapper.services.turn import Approved, Message, ToolCall, ToolResult, Turn

CALL = ToolCall("mcpr_1", "find all", '{"a": 1}', "my crm")
STANDS_FOR = Approved("(not kept)")


def conversation(*results, call=CALL):
    asked = Message("assistant", (call, ToolCall("mcpr_2", "add", "{}", "docs")))
    return (Message("user", ("hi",)), asked, Message("user", results))


def prompt_of(*results, profile="agent"):
    """Return the calls that run, and the prompt, of a turn that ends with *results*."""
    turn = Turn("sonnet", conversation(*results), profile=profile)
    prompt = frames.prompt(turn)
    return ApprovedCalls(turn, prompt, clock=iter((1.0, 3.0, 5.0, 9.0)).__next__), prompt


def block_of(prompt):
    return prompt["message"]["content"][0]


APPROVED, DENIED = ToolResult("mcpr_1", (STANDS_FOR,)), ToolResult("mcpr_2", ("No.",))


def test_a_call():
    """Only approved calls run, with Claude Code's name, and their results reach the prompt."""
    calls, prompt = prompt_of(APPROVED, DENIED)
    call, request = next(iter(calls))
    assert call == CALL
    tool = {"tool": "mcp__my_crm__find_all", "arguments": {"a": 1}}
    assert request["request"] == {"subtype": "mcp_call", **tool}
    calls.add_response({"subtype": "success", "response": {"content": "Found."}})
    used = ToolUsed("mcp__my_crm__find_all", "done", 2.0, output="Found.")
    assert calls.events == [ApprovedCallRan(CALL, used), used]
    assert block_of(prompt)["content"] == [{"type": "text", "text": "Found."}]
    assert prompt["message"]["content"][1]["content"] == [{"type": "text", "text": "No."}]


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"subtype": "error", "error": "bad"}, "Error: bad", True),
        ({"subtype": "success", "response": {"content": ""}}, "(no output)", False),
        ({"subtype": "success", "response": {}}, "(no output)", False),
        ({"subtype": "success", "response": {"content": [{"type": "odd"}]}}, "(no output)", False),
    ],
)
def test_results(response, text, failed):
    """An error is one for the model, too, and no result is empty."""
    calls, prompt = prompt_of(APPROVED)
    next(iter(calls))
    calls.add_response(response)
    assert block_of(prompt)["content"] == [{"type": "text", "text": text}]
    assert block_of(prompt).get("is_error", False) is failed


def test_long_results():
    """A result has a bounded length."""
    calls, prompt = prompt_of(APPROVED)
    next(iter(calls))
    blocks = [{"type": "text", "text": "x" * 60_000}] * 3
    calls.add_response({"subtype": "success", "response": {"content": blocks}})
    texts = [block["text"] for block in block_of(prompt)["content"]]
    assert sum(map(len, texts)) == MOST_CHARACTERS + len(CUT)


def test_results_of_servers():
    """A server's own result keeps its images; what is structured stands for its texts."""
    image = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    for result, kinds in (
        ({"content": [{"type": "text", "text": "a"}, image]}, ["text", "image"]),
        ({"content": [], "structuredContent": {"a": 1}}, ["text"]),
        ({"content": [{"type": "resource_link", "uri": "a"}]}, ["text"]),
    ):
        calls, prompt = prompt_of(APPROVED)
        next(iter(calls))
        calls.add_result(result)
        assert [block["type"] for block in block_of(prompt)["content"]] == kinds
    calls, prompt = prompt_of(APPROVED)
    next(iter(calls))
    calls.add_result({"content": [{"type": "text", "text": "bad"}], "isError": True})
    assert block_of(prompt)["is_error"] is True


def test_none():
    """Nothing runs for a plain turn, or for an approval that is not at the end."""
    assert list(prompt_of(APPROVED, profile="plain")[0]) == []
    later = (
        *conversation(APPROVED),
        Message("assistant", ("Done.",)),
        Message("user", ("Thanks",)),
    )
    turn = Turn("sonnet", later)
    assert list(ApprovedCalls(turn, frames.prompt(turn))) == []
