"""Items of the Responses API, and the messages that they make up."""

import time

import pytest

from wrapper.errors import RequestTooLarge
from wrapper.services.messages import items as items_module
from wrapper.services.messages.items import (
    Item,
    bound_thinking,
    to_conversation,
    unpaired_call,
    with_outputs,
)
from wrapper.services.messages.message import content_of, merge
from wrapper.services.turn import Approved, Image, RedactedThinking, Thinking, ToolCall, ToolResult

CALLS = [ToolCall(f"call_{n}", "f", "{}") for n in range(3)]


def user(n, *parts):
    return Item(f"input.{n}", "user", parts, part_paths=(f"input.{n}.content",))


def said(n, text):
    return Item(f"input.{n}", "assistant", (text,), part_paths=(f"input.{n}.content.0",))


def call(n, number=0):
    return Item(f"input.{n}", "assistant", (CALLS[number],))


def output(n, number=0):
    return Item(f"input.{n}", "tool", ("3",), f"call_{number}", (f"input.{n}.output",))


def asked(n):
    call = ToolCall("mcpr_1", "add", "{}", "docs")
    return Item(f"input.{n}", "assistant", (call,), id_field="id")


STANDS_FOR = Approved("(not kept)")


def approved(n, result=STANDS_FOR):
    return Item(f"input.{n}", "tool", (result,), "mcpr_1", id_field="approval_request_id")


def ran(n):
    call = ToolCall("mcp_1", "add", "{}", "docs")
    return Item(f"input.{n}", "assistant", (call,), "mcpr_1", id_field="id", output="5")


def test_outputs():
    """The output of a call that ran stands for its approval, or else follows the call."""
    _, result, last = with_outputs([asked(0), approved(1), ran(2), said(3, "Five.")])
    assert (result.parts, result.answers, last.parts) == (("5",), "mcpr_1", ("Five.",))
    waiting = with_outputs([asked(0), approved(1)])
    assert isinstance(waiting[1].parts[0], Approved)
    denied = [asked(0), approved(1, "No.")]
    assert with_outputs(denied) == denied
    alone = with_outputs([user(0, "Hi"), ran(1)])
    assert unpaired_call(alone) is None
    assert (alone[2].parts, alone[2].answers) == (("5",), "mcp_1")


def test_approved_is_kept():
    """What stands for a result reaches the turn as such."""
    (message,) = to_conversation([approved(0)]).messages
    (merged,) = merge([(message, content_of(message))])
    assert isinstance(merged.parts[0], ToolResult)
    assert isinstance(merged.parts[0].parts[0], Approved)


def test_items_in_a_row():
    """The assistant's items in a row are one message, with its calls at the end."""
    items = [user(0, "Hi"), call(1), said(2, "Wait."), call(3, 1), output(4), output(5, 1)]
    conversation = to_conversation(items)
    assert [message.role for message in conversation.messages] == [
        *("user", "assistant", "tool", "tool")
    ]
    assert conversation.messages[1].parts == ("Wait.", CALLS[0], CALLS[1])


@pytest.mark.parametrize(
    ("path", "located"),
    [
        ("messages", "input"),
        ("max_tokens", "max_output_tokens"),
        ("reasoning_effort", "reasoning.effort"),
        ("temperature", "temperature"),
        ("messages.0.content", "input.0.content"),
        ("messages.0.content.0.image_url.url", "input.0.content.image_url"),
        ("messages.1.tool_calls.1.id", "input.3.call_id"),
        ("messages.1.tool_calls.0.function.arguments", "input.1.arguments"),
        ("messages.2.tool_call_id", "input.4.call_id"),
        ("messages.2.content", "input.4.output"),
        ("messages.2.content.0", "input.4.output"),
    ],
)
def test_locate(path, located):
    """A path in chat completions becomes that of the item and field that the client sent."""
    items = [user(0, Image()), call(1), said(2, "Wait."), call(3, 1), output(4), output(5, 1)]
    assert to_conversation(items).locate(path) == located


@pytest.mark.parametrize(
    ("item", "path", "located"),
    [
        (call, "tool_calls.{}.function.arguments", "input.{}.arguments"),
        (lambda n: said(n, "a"), "content.{}.text", "input.{}.content.0.text"),
    ],
)
def test_locate_many(item, path, located):
    """Locating all paths of a message takes time in proportion to their number."""
    conversation = to_conversation([item(n) for n in range(8000)])
    began = time.process_time()
    for n in range(8000):
        assert conversation.locate(f"messages.0.{path.format(n)}") == located.format(n)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("items", "path", "why"),
    [
        ([call(0)], "input.0", "No output for the call 'call_0' follows"),
        ([output(0)], "input.0.call_id", "No call has the call_id 'call_0'"),
        ([call(0), output(1), output(2)], "input.2.call_id", "Another output answers"),
        ([asked(0)], "input.0", "No mcp_approval_response for the call 'mcpr_1' follows"),
        ([approved(0)], "input.0.approval_request_id", "No call has the approval_request_id"),
        ([asked(0), approved(1), approved(2)], "input.2.approval_request_id", "Another output"),
        ([call(0), call(1), output(2)], "input.1.call_id", "Another call has"),
        ([call(0), output(1), call(2)], "input.2.call_id", "Another call has"),
    ],
)
def test_unpaired(items, path, why):
    """Each call needs one output after it, and each output one call before it."""
    mistakes = unpaired_call(items)
    assert mistakes
    assert list(mistakes) == [path]
    assert why in mistakes[path]


def test_paired():
    """Outputs may come in any order, and with other items between."""
    items = [call(0), call(1, 1), user(2, "and"), output(3, 1), output(4), call(5, 2), output(6, 2)]
    assert unpaired_call(items) is None


@pytest.mark.parametrize("part", [Thinking("x" * 400, "sig"), RedactedThinking("x" * 400)])
def test_much_thinking(part, monkeypatch):
    """The thinking of all items together is bounded, however little each has."""
    monkeypatch.setattr(items_module, "MOST_THINKING", 2000)
    thoughts = [Item(f"input.{n}", "assistant", (part,)) for n in range(4)]
    kept = bound_thinking([user(0, "x" * 9000), None, *thoughts])
    assert sum(item in thoughts for item in (next(kept) for _ in range(5))) == 3
    with pytest.raises(RequestTooLarge, match=r"2,000 characters") as caught:
        next(kept)
    assert caught.value.param == "input.3.encrypted_content"
