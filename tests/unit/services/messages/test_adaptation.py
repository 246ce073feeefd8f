"""Adaptation: the model's API gets any conversation in a form that it accepts."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wrapper.errors import InvalidRequest
from wrapper.services.claude.protocol.frames import extra_body
from wrapper.services.messages.adaptation import adapt
from wrapper.services.messages.message import ChatMessage
from wrapper.services.messages.pairing import NO_RESULT
from wrapper.services.messages.reminders import (
    reminder_of_blank,
    reminder_of_opening,
    reminder_to_go_on,
)
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.turn import Message, ToolCall, ToolResult
from wrapper.services.turns.builder import build_turn
from wrapper.testing import rules

ASKED = ChatMessage("user", ("Hi",))
BLANK, OPENING, GO_ON = reminder_of_blank(), reminder_of_opening(), reminder_to_go_on()


def call(call_id, arguments="{}", name="f"):
    return ToolCall(call_id, name, arguments)


def message_of(role, *parts):
    return ChatMessage(role, parts)


def calls(*ids):
    return message_of("assistant", *map(call, ids))


def tool(call_id, text="1"):
    return ChatMessage("tool", (text,), call_id)


def function(name, text="1"):
    return ChatMessage("function", (text,), name)


def user(*parts):
    return Message("user", parts)


def model(*parts):
    return Message("assistant", parts)


def result(call_id, text="1"):
    return ToolResult(call_id, (text,))


def first_call(adapted):
    (called,) = [part for part in adapted.messages[1].parts if isinstance(part, ToolCall)]
    return called


MISSING = NO_RESULT
ADAPTED = {
    "last from the assistant": (
        [ASKED, message_of("assistant", "Yes.")],
        [user("Hi"), model("Yes."), user(GO_ON)],
        ["messages.1.role"],
    ),
    "first from the assistant": (
        [message_of("assistant", "Welcome."), ASKED],
        [user(OPENING), model("Welcome."), user("Hi")],
        ["messages.0.role"],
    ),
    "only the assistant": (
        [message_of("assistant", "Yes.")],
        [user(OPENING), model("Yes."), user(GO_ON)],
        ["messages.0.role"],
    ),
    "blank": ([message_of("user", " ")], [user(BLANK)], ["messages.0.content"]),
    "no parts": ([message_of("user")], [user(BLANK)], ["messages.0.content"]),
    "blank system": ([message_of("system", "")], [user(BLANK)], ["messages.0.content"]),
    "blank first": (
        [message_of("user", ""), message_of("assistant", "Yes?"), ASKED],
        [user(BLANK), model("Yes?"), user("Hi")],
        ["messages.0.content"],
    ),
    "blank last": (
        [ASKED, message_of("assistant", "Yes?"), message_of("user", "")],
        [user("Hi"), model("Yes?"), user(BLANK)],
        ["messages.2.content"],
    ),
    "blank after text": ([ASKED, message_of("user", "\n")], [user("Hi")], ["messages.1.content"]),
    "blank from the assistant last": (
        [ASKED, message_of("assistant", "")],
        [user("Hi")],
        ["messages.1.role", "messages.1.content"],
    ),
    "blank in between": (
        [
            ASKED,
            message_of("assistant"),
            ASKED,
            message_of("assistant", "a"),
            message_of("user", ""),
            ASKED,
        ],
        [user("Hi", "Hi"), model("a"), user("Hi")],
        ["messages.1.content", "messages.4.content"],
    ),
    "white space beside a call": (
        [ASKED, message_of("assistant", "\n", call("a")), tool("a")],
        [user("Hi"), model(call("a")), user(result("a"))],
        ["messages.1.content"],
    ),
    "a blank result": (
        [ASKED, calls("a"), tool("a", " ")],
        [user("Hi"), model(call("a")), user(ToolResult("a", ()))],
        ["messages.2.content"],
    ),
    "no result": (
        [ASKED, calls("a")],
        [user("Hi"), model(call("a")), user(result("a", MISSING))],
        ["messages.1.tool_calls"],
    ),
    "no result, and a question": (
        [ASKED, calls("a", "b"), tool("b"), ASKED],
        [
            user("Hi"),
            model(call("a"), call("b")),
            user(result("b"), result("a", MISSING), "Hi"),
        ],
        ["messages.1.tool_calls"],
    ),
    "a late result": (
        [ASKED, calls("a", "b"), tool("b"), ASKED, message_of("assistant", "x"), tool("a")],
        [
            user("Hi"),
            model(call("a"), call("b")),
            user(result("b"), result("a"), "Hi"),
            model("x"),
            user(GO_ON),
        ],
        ["messages.5.tool_call_id", "messages.4.role"],
    ),
    "an id used again": (
        [ASKED, calls("a"), tool("a"), calls("a"), tool("a", "2")],
        [
            user("Hi"),
            model(call("a")),
            user(result("a")),
            model(call("a_2")),
            user(result("a_2", "2")),
        ],
        ["messages.3.tool_calls.0.id"],
    ),
    "an id used again without results": (
        [ASKED, calls("a"), calls("a"), tool("a")],
        [
            user("Hi"),
            model(call("a")),
            user(result("a", MISSING)),
            model(call("a_2")),
            user(result("a_2")),
        ],
        ["messages.2.tool_calls.0.id", "messages.1.tool_calls"],
    ),
    "one id twice in a message": (
        [ASKED, calls("a", "a"), tool("a"), tool("a", "2")],
        [user("Hi"), model(call("a"), call("a_2")), user(result("a"), result("a_2", "2"))],
        ["messages.1.tool_calls.1.id"],
    ),
    "a result without a call": (
        [ASKED, tool("x")],
        [user("Hi"), model(call("x", name="unknown_function")), user(result("x"))],
        ["messages.1.tool_call_id"],
    ),
    "a function's result without a call": (
        [ASKED, function("f g")],
        [
            user("Hi"),
            model(call("function_call_", name="f_g")),
            user(result("function_call_")),
        ],
        ["messages.1.name"],
    ),
    "the same result twice": (
        [ASKED, calls("a"), tool("a"), tool("a")],
        [user("Hi"), model(call("a")), user(result("a"))],
        ["messages.3.tool_call_id"],
    ),
    "another result to the same call": (
        [ASKED, calls("a"), tool("a"), tool("a", "2")],
        [
            user("Hi"),
            model(call("a")),
            user(result("a")),
            model(call("a_2")),
            user(result("a_2", "2")),
        ],
        ["messages.3.tool_call_id"],
    ),
}


@pytest.mark.parametrize("shape", ADAPTED)
def test_shapes(shape):
    """Each odd conversation is adapted without losing text, and its change is named."""
    messages, expected, paths = ADAPTED[shape]
    adapted = adapt(messages)
    assert list(adapted.messages) == expected
    assert sorted(adapted.paths) == sorted(paths)


@pytest.mark.parametrize("shape", ADAPTED)
def test_strict(shape):
    """With STRICT_PARAMS the same is refused, and the error names one of these paths."""
    messages, _, paths = ADAPTED[shape]
    with pytest.raises(InvalidRequest) as caught:
        adapt(messages, strict=True)
    assert caught.value.param in paths


@pytest.mark.parametrize(
    ("messages", "spoken", "system"),
    [
        ([("system", "s")], [user("s")], ""),
        ([("system", "a"), ("developer", "b")], [user("b")], "a"),
        ([("system", "a"), ("system", "b"), ("system", " ")], [user("b")], "a"),
        (
            [("system", "a"), ("user", "x"), ("assistant", "y"), ("system", "b")],
            [user("x"), model("y"), user("b")],
            "a",
        ),
        ([("user", "x"), ("system", "b")], [user("x")], "b"),
        ([("assistant", "y"), ("system", "b")], [user(OPENING), model("y"), user("b")], ""),
    ],
)
def test_system_last(messages, spoken, system):
    """The last system message is answered where there is nothing else to answer."""
    adapted = adapt([message_of(role, text) for role, text in messages])
    assert (list(adapted.messages), adapted.system) == (spoken, system)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        ("null", {}),
        ("[]", {}),
        ('""', {"INVALID_JSON": '""'}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": "Os', {"INVALID_JSON": '{"a": "Os'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("7", {"INVALID_JSON": "7"}),
        ('{"a": NaN}', {"INVALID_JSON": '{"a": NaN}'}),
        ("\ud800", {"INVALID_JSON": "?"}),
        ("[" * 100_000, {"INVALID_JSON": "[" * 100_000}),
        ('{"a": 1, "a": 2}', {"INVALID_JSON": '{"a": 1, "a": 2}'}),
        ('{"o": [{"a": 1, "\\u0061": 2}]}', {"INVALID_JSON": '{"o": [{"a": 1, "\\u0061": 2}]}'}),
        ('"{\\"a\\": 1, \\"a\\": 2}"', {"INVALID_JSON": '"{\\"a\\": 1, \\"a\\": 2}"'}),
        ('{"a": 1, "o": {"a": 2}}', {"a": 1, "o": {"a": 2}}),
        ('{"a": 1}', {"a": 1}),
    ],
    ids=lambda value: str(value)[:20].encode(errors="replace").decode(),
)
def test_arguments(text, arguments):
    """Arguments become the object that they mean, or an object that contains them unchanged."""
    adapted = adapt([ASKED, message_of("assistant", call("a", text)), tool("a")])
    assert json.loads(first_call(adapted).arguments) == arguments
    changed = text != "" and text != json.dumps(arguments)
    assert adapted.paths == (("messages.1.tool_calls.0.function.arguments",) if changed else ())


@pytest.mark.parametrize(
    ("name", "sent"), [("a.b c", "a_b_c"), ("", "unknown_function"), ("f" * 200, "f" * 128)]
)
def test_names(name, sent):
    """Characters of a name that the API refuses are replaced."""
    adapted = adapt([ASKED, message_of("assistant", call("a", name=name)), tool("a")])
    assert first_call(adapted).name == sent
    assert adapted.paths == ("messages.1.tool_calls.0.function.name",)


@pytest.mark.parametrize("strict", [True, False])
def test_what_a_session_holds(strict):
    """A session's messages stay usable even with STRICT_PARAMS, and are named session_id."""
    before = [
        message_of("assistant", "Hi.", call("a", "null")),
        tool("a"),
        message_of("assistant", ""),
    ]
    adapted = adapt([*before, ASKED], known=3, strict=strict)
    assert adapted.paths == ("session_id",)


TEXTS = st.text("ab \n", max_size=3)
IDS = st.sampled_from(["a", "b", "a_2", "function_call_1"])
NAMES = st.sampled_from(["f", "g", "f.g"])
ARGUMENTS = st.sampled_from(["{}", "", "null", '{"a', '{"a": 1}', '{"a": 1, "a": 2}'])
CALLS = st.builds(ToolCall, IDS | st.just(""), NAMES, ARGUMENTS)
MESSAGES = st.one_of(
    st.builds(message_of, st.sampled_from(["user", "system", "developer"]), TEXTS),
    st.builds(
        lambda text, made: message_of("assistant", text, *made), TEXTS, st.lists(CALLS, max_size=3)
    ),
    st.builds(tool, IDS, TEXTS),
    st.builds(function, NAMES, TEXTS),
)


def words(text):
    return set(text.split())


@hypothesis_settings(max_examples=250)
@given(st.lists(MESSAGES, min_size=1, max_size=8))
def test_any_conversation(messages):
    """Messages in any order and form are accepted by the API, and no text is lost."""
    request = TurnRequest(tuple(messages))
    turn = build_turn(request, model="m", grant=Grant("plain"))
    body = extra_body(turn) | {"max_tokens": 1}
    rules.check(body, "claude-sonnet-4-6")
    arrived = words(json.dumps(body).replace("\\n", " ").replace('"', " "))
    arrived |= words(turn.system or "")
    for message in messages:
        for part in message.parts:
            if isinstance(part, str):
                assert words(part) <= arrived


@hypothesis_settings(max_examples=200)
@given(st.lists(MESSAGES, min_size=1, max_size=8))
def test_named_exactly(messages):
    """Every adaptation is named, and STRICT_PARAMS refuses exactly what is named."""
    adapted = adapt(messages)
    if adapted.paths:
        with pytest.raises(InvalidRequest):
            adapt(messages, strict=True)
    else:
        assert adapt(messages, strict=True) == adapted
