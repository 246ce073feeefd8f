"""The message schema: how each role's messages load, and how mistakes are reported."""

from itertools import product

import pytest

from tests.support.chat_requests import mistake_in
from wrapper.routes.headers import note_headers
from wrapper.schemas.chat.message import MessageSchema
from wrapper.schemas.chat.request import CHAT_REQUEST
from wrapper.services.events import Ended, Ending, Event, ReasoningDelta, Started, TextDelta
from wrapper.services.fronts.chat import ChatPresenter
from wrapper.services.messages.message import ChatMessage
from wrapper.services.spent import Usage
from wrapper.services.turn import Document, Image, ToolCall

pytestmark = pytest.mark.packages

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}
FILE = {"type": "file", "file": {"file_data": "a text", "filename": "a.txt"}}
IMAGE_PART = Image(url="https://x.test/a.png")
FILE_PART = Document("text/plain", "a text", "a.txt")
CALLED = ToolCall("c", "f", '{"a": 1}')


def load_message(**fields):
    return CHAT_REQUEST.load({"messages": [fields]}).messages[0]


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ({"role": "user", "content": "Hi"}, ("Hi",)),
        ({"role": "user", "content": ""}, ("",)),
        ({"role": "system", "content": [{"type": "text", "text": "a"}]}, ("a",)),
        ({"role": "developer", "content": [], "name": "n"}, ()),
        (
            {"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]},
            ("a", "b"),
        ),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, ("no",)),
        (
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]},
            ("a",),
        ),
        ({"role": "user", "content": "Hi", "name": None, "tool_calls": None}, ("Hi",)),
    ],
)
def test_messages(message, texts):
    """A message's content is a text or text parts, and unknown keys are ignored."""
    assert load_message(**message) == ChatMessage(message["role"], texts)


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ({"content": "Hi"}, "role", "missing_required_parameter"),
        ({"role": 7, "content": "Hi"}, "role", "invalid_type"),
        ({"role": "robot", "content": "Hi"}, "role", "invalid_value"),
        ({"role": "tool", "content": "1"}, "tool_call_id", "missing_required_parameter"),
        ({"role": "tool", "content": "1", "tool_call_id": 7}, "tool_call_id", "invalid_type"),
        (
            {"role": "tool", "tool_call_id": "c", "content": [FILE]},
            "content.0.type",
            "unsupported_value",
        ),
        ({"role": "function", "content": "1"}, "name", "missing_required_parameter"),
        ({"role": "user"}, "content", "invalid_value"),
        ({"role": "user", "content": None}, "content", "invalid_value"),
        ({"role": "user", "content": 7}, "content", "invalid_type"),
        ({"role": "user", "content": {}}, "content", "invalid_type"),
        ({"role": "user", "content": ["Hi"]}, "content.0", "invalid_type"),
        ({"role": "user", "content": [{}]}, "content.0.type", "unsupported_value"),
        ({"role": "user", "content": [{"type": "text"}]}, "content.0.text", "invalid_type"),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_audio"}]},
            "content.1.type",
            "unsupported_value",
        ),
        ({"role": "system", "content": [IMAGE]}, "content.0.type", "unsupported_value"),
        (
            {"role": "assistant", "content": ["a", IMAGE]},
            "content.0",
            "invalid_type",
        ),
        ({"role": "assistant", "content": [IMAGE]}, "content.0.type", "unsupported_value"),
        ({"role": "user", "content": "Hi", "name": 7}, "name", "invalid_type"),
        ({"role": "user", "content": "Hi", "tool_calls": 0}, "tool_calls", "invalid_type"),
        ({"role": "user", "content": "Hi", "tool_calls": [CALL]}, "tool_calls", "invalid_value"),
        (
            {"role": "user", "content": "Hi", "function_call": {"name": "f"}},
            "function_call",
            "invalid_value",
        ),
    ],
)
def test_wrong_messages(message, param, code):
    """A mistake in a message is reported with its path."""
    assert mistake_in({"messages": [USER, message]}) == (f"messages.1.{param}", code)


@pytest.mark.parametrize(
    ("message", "loaded"),
    [
        (
            {"role": "user", "content": [IMAGE, FILE]},
            ChatMessage("user", (IMAGE_PART, FILE_PART)),
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL], "function_call": None},
            ChatMessage("assistant", (CALLED,)),
        ),
        (
            {
                "role": "assistant",
                "content": "Wait.",
                "tool_calls": [{**CALL, "index": 0, "type": None}],
                "refusal": None,
                "audio": None,
                "annotations": [],
                "reasoning_content": "hm",
            },
            ChatMessage("assistant", ("Wait.", CALLED)),
        ),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
            ChatMessage("assistant", (ToolCall("", "f", "{}"),)),
        ),
        (
            {"role": "assistant", "content": [], "tool_calls": [], "function_call": {}},
            ChatMessage("assistant", ()),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": "1", "name": "f"},
            ChatMessage("tool", ("1",), "c"),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": [IMAGE]},
            ChatMessage("tool", (IMAGE_PART,), "c"),
        ),
        (
            {"role": "function", "name": "f", "content": "1", "tool_call_id": None},
            ChatMessage("function", ("1",), "f"),
        ),
    ],
)
def test_calls_and_results(message, loaded):
    """Calls follow the text of a message, results name their call, and nulls are ignored."""
    assert load_message(**message) == loaded


@pytest.mark.parametrize(
    "arguments",
    [
        *("{}", '{"a": {"b": [1, "\u00e4"]}}', ' {"a": null} '),
        *("[]", "1", "{", '{"a": NaN}', '{"a": "\\ud800"}', "null"),
    ],
)
def test_arguments(arguments):
    """Arguments are passed on as written."""
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    message = load_message(role="assistant", tool_calls=[call])
    assert message.parts == (ToolCall("c", "f", arguments),)


@pytest.mark.parametrize("arguments", ["", "  ", None])
def test_no_arguments(arguments):
    """Blank or missing arguments count as an empty object."""
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    assert load_message(role="assistant", tool_calls=[call]).parts == (ToolCall("c", "f", "{}"),)


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"id": None}, "id", "invalid_value"),
        ({"id": 7}, "id", "invalid_type"),
        ({"type": "custom"}, "type", "unsupported_value"),
        ({"function": None}, "function", "invalid_value"),
        ({"function": {}}, "function.name", "missing_required_parameter"),
        ({"function": {"name": 7}}, "function.name", "invalid_type"),
        ({"function": {"name": "f", "arguments": []}}, "function.arguments", "invalid_type"),
    ],
)
def test_wrong_calls(change, param, code):
    """A mistake in a call is reported with its path."""
    body = {"messages": [USER, {"role": "assistant", "tool_calls": [CALL, {**CALL, **change}]}]}
    mistake = mistake_in(body)
    assert mistake[0] == f"messages.1.tool_calls.1.{param}"
    assert mistake[1] == code


def test_answers_can_be_sent_back():
    """The gateway's own answer is accepted as a message in the next request."""
    ended = Ended(Ending.DONE, Usage(), None)
    events: list[Event] = [Started("m"), ReasoningDelta("hm"), TextDelta("Hello"), ended]
    body = ChatPresenter("id", 0, note_headers).whole([(0, event) for event in events])
    message = body["choices"][0]["message"]
    assert load_message(**message) == ChatMessage("assistant", ("Hello",))


def test_any_mix_of_fields():
    """However a caller mixes the optional fields, no schema of a mix is made twice."""
    names = ("refusal", "audio", "name", "tool_calls", "function_call", "tool_call_id")
    schema = MessageSchema()
    mixes = [
        dict.fromkeys(name for name, sent in zip(names, which, strict=True) if sent)
        for which in product((True, False), repeat=len(names))
    ]
    for mix in mixes * 2:
        assert schema.load({"role": "user", "content": "Hi", **mix}) == ChatMessage("user", ("Hi",))
    assert schema._narrowed.cache_info().misses == len(mixes)
