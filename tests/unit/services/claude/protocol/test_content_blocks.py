"""Parts, functions and schemas become the Messages API's content blocks and tools."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.services.claude.protocol.content_blocks import (
    answer_name,
    blocks_of,
    forces_a_call,
    messages_of,
    names_of,
    tools_of,
)
from wrapper.services.turn import (
    Document,
    Function,
    Image,
    Message,
    OutputSchema,
    Reminder,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

OBJECT = {"type": "object"}
F = Function("f", OBJECT, "Does.")
X = OutputSchema("x", OBJECT)
FREE = OutputSchema("x", OBJECT, forced=False)


def turn_of(*functions, tool_choice=None, output_schema=None, profile="plain"):
    tool_choice = tool_choice or ToolChoice()
    return Turn(
        "sonnet",
        (),
        profile=profile,
        functions=functions,
        tool_choice=tool_choice,
        output_schema=output_schema,
    )


def test_parts():
    """Each part becomes a block of its own type, with bytes and text unchanged."""
    parts = (
        " a\n",
        Image("image/png", "AAAA"),
        Image(url="https://example.org/a.png"),
        Document("application/pdf", "BBBB", "b.pdf"),
        Document("text/plain", "words"),
        ToolCall("call_1", "f", '{"a": 1}'),
        ToolResult("call_1", ("done", Image("image/gif", "CCCC"))),
    )
    png = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    gif = {"type": "base64", "media_type": "image/gif", "data": "CCCC"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}
    assert blocks_of(Message("user", parts)) == [
        {"type": "text", "text": " a\n"},
        {"type": "image", "source": png},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "document", "source": pdf, "title": "b.pdf"},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        },
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {
            "type": "tool_result",
            "tool_use_id": "call_1",
            "content": [{"type": "text", "text": "done"}, {"type": "image", "source": gif}],
        },
    ]


@pytest.mark.parametrize(
    ("turn", "choice"),
    [
        (turn_of(F), None),
        (turn_of(F, tool_choice=ToolChoice("none")), {"type": "none"}),
        (turn_of(F, tool_choice=ToolChoice("any")), {"type": "any"}),
        (turn_of(F, tool_choice=ToolChoice("one", "f")), {"type": "tool", "name": "f"}),
        (turn_of(F, tool_choice=ToolChoice("none", parallel=False)), {"type": "none"}),
        (
            turn_of(F, tool_choice=ToolChoice(parallel=False)),
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        (turn_of(output_schema=X), {"type": "tool", "name": "x"}),
        (turn_of(F, output_schema=X), {"type": "any"}),
        (
            turn_of(F, output_schema=X, tool_choice=ToolChoice("none")),
            {"type": "tool", "name": "x"},
        ),
        (
            turn_of(F, output_schema=X, tool_choice=ToolChoice("one", "f")),
            {"type": "tool", "name": "f"},
        ),
        (turn_of(F, tool_choice=ToolChoice("any", forced=False)), None),
        (turn_of(F, tool_choice=ToolChoice("one", "f", forced=False)), None),
        (
            turn_of(F, tool_choice=ToolChoice("any", parallel=False, forced=False)),
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        (turn_of(output_schema=FREE), None),
        (turn_of(F, output_schema=FREE), None),
        (turn_of(F, output_schema=FREE, tool_choice=ToolChoice("none")), None),
    ],
)
def test_choice(turn, choice):
    """The tool choice is sent upstream unless it is the API's default."""
    assert tools_of(turn).get("tool_choice") == choice
    assert forces_a_call(turn) == ((choice or {}).get("type") in ("any", "tool"))


@pytest.mark.parametrize(
    ("tool_choice", "choice"),
    [
        (ToolChoice(), {}),
        (ToolChoice("one", "f"), {"tool_choice": {"type": "tool", "name": "mcp__client__f"}}),
        (ToolChoice("any"), {"tool_choice": {"type": "any"}}),
        (ToolChoice("none"), {"tool_choice": {"type": "none"}}),
        (ToolChoice("one", "f", forced=False), {}),
    ],
)
def test_agents(tool_choice, choice):
    """An agent's tools come from Claude Code, but its tool choice is sent."""
    turn = turn_of(F, tool_choice=tool_choice, profile="agent")
    assert tools_of(turn) == choice
    assert names_of(turn) == {"mcp__client__f": "f"}
    call = Message("assistant", (ToolCall("c", "f", "{}"),))
    assert blocks_of(call, "mcp__client__")[0]["name"] == "mcp__client__f"


CACHED = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("messages", "at"),
    [
        ([Message("user", ("a", "b"))], (0, 1)),
        ([Message("user", ("a", Reminder("r")))], (0, 0)),
        ([Message("user", ("a", Reminder("r"), Reminder("r")))], (0, 0)),
        (
            [
                Message("user", ("a", Reminder("r"))),
                Message("assistant", ("b",)),
                Message("user", (Reminder("r"),)),
            ],
            (1, 0),
        ),
    ],
)
def test_cache(messages, at):
    """The cache mark is at the end of the conversation, before reminders, which do not stay."""
    sent = messages_of(replace(turn_of(), messages=tuple(messages)))
    marked = [
        (i, j)
        for i, message in enumerate(sent)
        for j, block in enumerate(message["content"])
        if block.get("cache_control") == CACHED
    ]
    assert marked == [at]


def test_nothing():
    """A turn without functions and schema sends no tools."""
    assert tools_of(turn_of()) == {}
    assert not forces_a_call(turn_of())


def test_tools():
    """Functions are sent as described, followed by the answer's tool."""
    tools = tools_of(turn_of(F, Function("g", OBJECT), output_schema=X))["tools"]
    assert tools[0] == {"name": "f", "description": "Does.", "input_schema": OBJECT}
    assert tools[1] == {"name": "g", "input_schema": OBJECT}
    assert (tools[2]["name"], tools[2]["input_schema"]) == ("x", OBJECT)


def test_the_answers_name_is_unique():
    """The answer's tool has no function's name."""
    assert answer_name(turn_of(output_schema=X)) == "x"
    assert (
        answer_name(turn_of(Function("x", OBJECT), Function("x_", OBJECT), output_schema=X))
        == "x__"
    )


def ids_of(call_id):
    parts = (ToolCall(call_id, "f", "{}"), ToolResult(call_id, ()))
    call, result = blocks_of(Message("user", parts))
    return call["id"], result["tool_use_id"]


IDS = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())


@given(IDS | st.from_regex(r"hex_[0-9a-f]{0,4}", fullmatch=True), IDS)
def test_ids(one, other):
    """Any id becomes a valid one, the same for call and result, and different for others."""
    assert len(set(ids_of(one))) == 1
    assert re.fullmatch("[a-zA-Z0-9_-]+", ids_of(one)[0])
    assert (ids_of(one) == ids_of(other)) == (one == other)


@pytest.mark.parametrize("call_id", ["call_abc-1", "toolu_01", "A"])
def test_valid_ids(call_id):
    """An id that the API accepts is left unchanged."""
    assert ids_of(call_id) == (call_id, call_id)
