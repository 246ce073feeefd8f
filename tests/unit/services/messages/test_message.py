"""Messages: their conversion, and the pairing of calls and results."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wrapper.errors import InvalidRequest
from wrapper.services.messages.adaptation import adapt
from wrapper.services.messages.changes import Changes
from wrapper.services.messages.message import ChatMessage, content_of
from wrapper.services.messages.pairing import pair
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.turn import (
    Document,
    Function,
    Image,
    Message,
    RedactedThinking,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from wrapper.services.turns.builder import build_turn

ASKED = ChatMessage("user", ("Hi",))
IMAGE = Image("image/png", "AAAA")
FILE = Document("text/plain", "a file")


def call(call_id, name="f", arguments="{}"):
    return ToolCall(call_id, name, arguments)


def calls(*ids):
    return ChatMessage("assistant", tuple(map(call, ids)))


def tool(call_id, *parts):
    return ChatMessage("tool", parts or ("1",), call_id)


def legacy(name="f"):
    return ChatMessage("assistant", (call("", name),))


def function(name="f", *parts):
    return ChatMessage("function", parts or ("1",), name)


def spoken_messages(conversation, **more):
    """Return the messages that go upstream; refuse those that would be adapted."""
    return adapt(conversation, strict=True, **more).messages


def with_blanks(conversation):
    """Return the same, where only white space may be left out."""
    adapted = adapt(conversation)
    assert all(path.endswith(".content") for path in adapted.paths)
    return adapted.messages


def user(*parts):
    return ChatMessage("user", parts)


def assistant(*parts):
    return ChatMessage("assistant", parts)


def result(call_id, *parts):
    return ToolResult(call_id, parts or ("1",))


@pytest.mark.parametrize(
    ("conversation", "messages"),
    [
        ([user(IMAGE)], [Message("user", (IMAGE,))]),
        ([user("a", IMAGE, "b", FILE)], [Message("user", ("a", IMAGE, "b", FILE))]),
        ([user(" ", IMAGE, "\n", "b", " ")], [Message("user", (IMAGE, "\nb "))]),
        ([user("a", " ", IMAGE, " ")], [Message("user", ("a ", IMAGE))]),
        ([user("a"), user(IMAGE), user("b")], [Message("user", ("a", IMAGE, "b"))]),
        (
            [ASKED, calls("a", "b"), tool("b"), tool("a")],
            [
                Message("user", ("Hi",)),
                Message("assistant", (call("a"), call("b"))),
                Message("user", (result("b"), result("a"))),
            ],
        ),
        (
            [ASKED, assistant("Wait.", call("a")), tool("a", "x", IMAGE), user(" "), user("So?")],
            [
                Message("user", ("Hi",)),
                Message("assistant", ("Wait.", call("a"))),
                Message("user", (result("a", "x", IMAGE), "So?")),
            ],
        ),
        (
            [ASKED, assistant("Wait."), calls("a"), tool("a"), assistant(""), user("So?")],
            [
                Message("user", ("Hi",)),
                Message("assistant", ("Wait.", call("a"))),
                Message("user", (result("a"), "So?")),
            ],
        ),
        (
            [ASKED, calls("a"), ChatMessage("system", ("s",)), tool("a")],
            [
                Message("user", ("Hi",)),
                Message("assistant", (call("a"),)),
                Message("user", (result("a"),)),
            ],
        ),
        (
            [ASKED, legacy(), function(), legacy(), function("f", "2")],
            [
                Message("user", ("Hi",)),
                Message("assistant", (call("function_call_1"),)),
                Message("user", (result("function_call_1"),)),
                Message("assistant", (call("function_call_3"),)),
                Message("user", (result("function_call_3", "2"),)),
            ],
        ),
    ],
)
def test_conversations(conversation, messages):
    """Images, files, calls and results keep their order; results come first."""
    assert list(with_blanks(conversation)) == messages


@pytest.mark.parametrize("parts", [("",), (" \n",), ()])
def test_blank_results(parts):
    """A blank result stays a result."""
    conversation = [ASKED, calls("a"), ChatMessage("tool", parts, "a")]
    assert with_blanks(conversation)[-1] == Message("user", (ToolResult("a", ()),))


@pytest.mark.parametrize(
    ("conversation", "param"),
    [
        ([ASKED, calls("a")], "messages.1.tool_calls"),
        ([ASKED, calls("a"), user("So?")], "messages.1.tool_calls"),
        ([ASKED, calls("a", "b"), tool("b")], "messages.1.tool_calls"),
        ([ASKED, calls("a", "b"), tool("a"), user("So?"), tool("b")], "messages.4.tool_call_id"),
        ([ASKED, calls("a"), calls("b"), tool("a"), tool("b")], "messages.3.tool_call_id"),
        ([ASKED, calls("a"), assistant(""), tool("a")], "messages.3.tool_call_id"),
        ([ASKED, legacy(), user("So?")], "messages.1.function_call"),
        ([tool("a")], "messages.0.tool_call_id"),
        ([ASKED, tool("a")], "messages.1.tool_call_id"),
        ([ASKED, calls("a"), tool("b")], "messages.2.tool_call_id"),
        ([ASKED, calls("a"), tool("a"), tool("a")], "messages.3.tool_call_id"),
        ([ASKED, calls("a"), tool("a"), user("x"), tool("a")], "messages.4.tool_call_id"),
        ([ASKED, calls("f"), function("f")], "messages.2.name"),
        ([ASKED, legacy(), function("g")], "messages.2.name"),
        ([ASKED, legacy(), tool("f")], "messages.2.tool_call_id"),
        ([ASKED, legacy(), function(), user("x"), function()], "messages.4.name"),
        ([ASKED, calls("a", "a"), tool("a"), tool("a")], "messages.1.tool_calls.1.id"),
        ([ASKED, calls("a"), tool("a"), calls("a"), tool("a")], "messages.3.tool_calls.0.id"),
        ([calls("a"), tool("a")], "messages.0.role"),
        ([ASKED, calls("a"), tool("a"), assistant("b")], "messages.3.role"),
        ([ASKED, calls("a"), tool("a"), user(" ")], "messages.3.content"),
    ],
)
def test_broken_pairs(conversation, param):
    """A call without a result, or the reverse, is refused, and the error names the path."""
    with pytest.raises(InvalidRequest) as caught:
        spoken_messages(conversation)
    error = caught.value
    assert (error.status, error.param, error.code) == (400, param, "invalid_value")
    assert error.message.startswith(param)


ODD = [
    call("a", arguments='{"city": "Os'),
    call("a", arguments='"{}"'),
    call("a", arguments="null"),
    call("a", arguments="[]"),
    call("a", arguments='{"a": 1, "a": 2}'),
]


@pytest.mark.parametrize("called", ODD, ids=str)
def test_strict_arguments(called):
    """With STRICT_PARAMS arguments that are no object are refused, and the error names the path."""
    with pytest.raises(InvalidRequest) as caught:
        spoken_messages([ASKED, assistant(called), tool("a")])
    assert caught.value.param == "messages.1.tool_calls.0.function.arguments"


def test_no_prefill():
    """A last message of the assistant is refused, and the error names claude.prefill."""
    with pytest.raises(InvalidRequest, match=r"with claude\.prefill the model goes on from it"):
        spoken_messages([ASKED, assistant("Dear")])


def test_prefill():
    """With prefill the last message may be the assistant's."""
    messages = spoken_messages([ASKED, assistant("Dear")], prefill=True)
    assert messages[-1] == Message("assistant", ("Dear",))
    assert spoken_messages([ASKED], prefill=True) == spoken_messages([ASKED])
    for last in (assistant("Dear "), assistant(" ")):
        with pytest.raises(InvalidRequest) as caught:
            spoken_messages([ASKED, last], prefill=True)
        assert caught.value.param == "messages.1.content"


def turn_of(*conversation, tools=False, **more):
    request = TurnRequest(conversation, **more)
    return build_turn(request, model="sonnet", grant=Grant("plain", tools=tools))


HISTORY = (
    *(ASKED, ChatMessage("assistant", (call("a", "f"), call("b", "g"), call("c", "f")))),
    *(tool("a"), tool("b"), tool("c")),
)


def test_thinking():
    """Thinking before a call stays in its place; without a call after it the model needs none."""
    hm, hidden = Thinking("Hm", "s"), RedactedThinking("d")
    called = ChatMessage("assistant", (hm, "Well.", hidden, call("a"), hm))
    told = ChatMessage("tool", ("1",), "a")
    done = ChatMessage("assistant", (hm, "Done."))
    messages = adapt([ASKED, called, told, done, ChatMessage("assistant", (hm,)), ASKED]).messages
    assert messages[1].parts == (hm, "Well.", hidden, call("a"))
    assert messages[3].parts == ("Done.",)


def test_functions_of_the_history():
    """Without functions in the request, those of its history are declared, and calls forbidden."""
    turn = turn_of(*HISTORY)
    assert turn.functions == (Function("f", {"type": "object"}), Function("g", {"type": "object"}))
    assert turn.tool_choice == ToolChoice("none")


def test_functions_of_the_request():
    """The request's own functions and tool choice are passed on unchanged."""
    own, tool_choice = (Function("h", {"type": "object"}),), ToolChoice("any")
    turn = turn_of(*HISTORY, functions=own, tool_choice=tool_choice)
    assert (turn.functions, turn.tool_choice) == (own, tool_choice)


@pytest.mark.parametrize(("conversation", "tools"), [(HISTORY, True), ((ASKED,), False)])
def test_no_functions(conversation, tools):
    """No functions are declared beside Claude Code's own tools, or in a history without calls."""
    turn = turn_of(*conversation, tools=tools)
    assert (turn.functions, turn.tool_choice) == ((), ToolChoice())


PARTS = st.one_of(st.text("ab \n", max_size=4), st.just(IMAGE), st.just(FILE))


@st.composite
def conversations(draw):
    """Draw a conversation that the API accepts: questions, perhaps calls, and answers."""
    conversation, number = [], 0
    for _ in range(draw(st.integers(1, 4))):
        conversation.append(user(*draw(st.lists(PARTS, max_size=3)), "q"))
        for _ in range(draw(st.integers(0, 2))):
            ids = [f"call {number + nth}" for nth in range(draw(st.integers(1, 3)))]
            number += len(ids)
            texts = draw(st.lists(st.text("ab ", max_size=3), max_size=2))
            conversation.append(
                assistant(*texts, *(call(id_, draw(st.sampled_from("fg"))) for id_ in ids))
            )
            held = st.lists(st.text("ab ", max_size=3) | st.just(IMAGE), max_size=3)
            conversation += [tool(id_, *draw(held)) for id_ in draw(st.permutations(ids))]
        if draw(st.booleans()):
            conversation.append(assistant(draw(st.text("ab ", max_size=3))))
    return [*conversation, user("last")]


def flat(parts):
    """Yield what must not be lost of *parts*: each letter, and each part that is no text."""
    for part in parts:
        if isinstance(part, ToolResult):
            yield part.id
            yield from flat(part.parts)
        elif isinstance(part, str):
            yield from "".join(part.split())
        else:
            yield part


@given(conversations())
def test_nothing_is_lost(conversation):
    """All texts, images, files, calls and results of a valid conversation arrive in order."""
    messages = with_blanks(conversation)
    roles = [message.role for message in messages]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    sent = [
        (ToolResult(message.answers, message.parts),) if message.role == "tool" else message.parts
        for message in conversation
    ]
    arrived = [message.parts for message in messages]
    assert list(flat(sum(arrived, ()))) == list(flat(sum(sent, ())))
    for message in messages:
        kinds = [isinstance(part, ToolResult) for part in message.parts]
        assert kinds == sorted(kinds, reverse=True)


@given(conversations(), st.data())
def test_any_broken_pairing(conversation, data):
    """A conversation with a missing, doubled or renamed result is refused."""
    results = [index for index, message in enumerate(conversation) if message.role == "tool"]
    assume(results)
    at = data.draw(st.sampled_from(results))
    mend = data.draw(st.sampled_from(["leave out", "double", "rename", "put off"]))
    broken = {
        "leave out": [*conversation[:at], *conversation[at + 1 :]],
        "double": [*conversation[: at + 1], *conversation[at:]],
        "rename": [*conversation[:at], tool("nobody's", "1"), *conversation[at + 1 :]],
        "put off": [*conversation[:at], *conversation[at + 1 :], conversation[at]],
    }[mend]
    with pytest.raises(InvalidRequest) as caught:
        spoken_messages(broken)
    assert not str(caught.value.param).endswith(".content")


def test_many_blanks():
    """The time for joining blank texts does not grow with its square."""
    began = time.process_time()
    (text,) = content_of(ChatMessage("user", ("x" * 4_000_000, *[" "] * 80_000)))
    assert isinstance(text, str)
    assert len(text) == 4_080_000
    assert time.process_time() - began < 5


@pytest.mark.parametrize("results", [0, 30_000])
def test_many_calls_with_one_id(results):
    """The time for giving calls ids of their own does not grow with the square of their number."""
    said = calls(*["a"] * 30_000)
    began = time.process_time()
    paired = pair(enumerate([ASKED, said, *[tool("a")] * results]), Changes())
    assert len({m.answers for _, m in paired if m.role == "tool"}) == 30_000
    assert time.process_time() - began < 10
