"""The chat schema: what a request may hold, and how its mistakes are told."""

import pytest
from marshmallow import ValidationError

from wrapper.errors import InvalidRequest
from wrapper.schemas.base import code_of, first_error, load_data
from wrapper.schemas.chat.request import CHAT_REQUEST, EFFORTS, MAX_CHOICES
from wrapper.services.events import Ended, Ending, Event, ReasoningDelta, Started, TextDelta, Usage
from wrapper.services.fronts.chat import ChatPresenter
from wrapper.services.messages.message import ChatMessage
from wrapper.services.request import ChatRequest
from wrapper.services.turn import Document, Function, Image, ToolCall, ToolChoice

pytestmark = pytest.mark.packages

USER = {"role": "user", "content": "Hi"}


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}
FILE = {"type": "file", "file": {"file_data": "a text", "filename": "a.txt"}}


def load(**fields):
    return CHAT_REQUEST.load({"messages": [USER], **fields})


def load_message(**fields):
    return CHAT_REQUEST.load({"messages": [fields]}).messages[0]


def mistake_in(body):
    """Return the param and the code of the body's mistake."""
    with pytest.raises(ValidationError) as caught:
        CHAT_REQUEST.load(body)
    param, message = first_error(caught.value.normalized_messages())
    assert message
    return param, code_of(message)


def test_least_request():
    """Messages alone make a request; all else is left open."""
    assert load() == ChatRequest(messages=(ChatMessage("user", ("Hi",)),))


def test_whole_request():
    """Every parameter that is heeded arrives with its value."""
    request = load(
        model="opus",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        max_tokens=5,
        temperature=0.5,
        top_p=1,
        stop=["a", "b"],
        n=2,
        reasoning_effort="none",
        service_tier="auto",
        claude={"profile": "plain"},
    )
    assert request == ChatRequest(
        messages=(ChatMessage("user", ("Hi",)),),
        model="opus",
        profile="plain",
        stream=True,
        include_usage=True,
        max_tokens=5,
        temperature=0.5,
        top_p=1.0,
        stop=("a", "b"),
        n=2,
        effort="none",
        service_tier="auto",
    )


@pytest.mark.parametrize(
    ("given", "heeded"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_newer_token_limit_wins(given, heeded):
    """Of the two token limits the newer one is heeded."""
    assert load(**given).max_tokens == heeded


@pytest.mark.parametrize(
    "name", [name for name in CHAT_REQUEST.fields if name not in ("messages",)]
)
def test_null_is_absence(name):
    """An explicit null means the same as leaving a field out."""
    assert load(**{name: None}) == load()


@pytest.mark.parametrize(
    ("given", "stops"), [("x", ("x",)), (["x"], ("x",)), ([], ()), ([" ", "\n"], (" ", "\n"))]
)
def test_stop(given, stops):
    """Stop texts come alone or as a list, and may be white space."""
    assert load(stop=given).stop == stops


@pytest.mark.parametrize(
    "given",
    [
        {"tools": []},
        {"tool_choice": "none"},
        {"tool_choice": "auto"},
        {"functions": []},
        {"function_call": "none"},
        {"response_format": {"type": "text"}},
        {"logprobs": False},
        {"top_logprobs": 0},
        {"logit_bias": {}},
        {"modalities": ["text"]},
        {"presence_penalty": -2, "frequency_penalty": 2.0},
        {"seed": -1},
        {"user": "u", "safety_identifier": "s"},
        {"metadata": {str(i): "v" for i in range(16)}},
        {"store": True},
        {"parallel_tool_calls": False},
        {"verbosity": "low"},
        {"prediction": {"type": "content", "content": "x"}, "prompt_cache_key": "k"},
        {"top_k": 4, "chat_template_kwargs": {}},
        {"temperature": 0, "top_p": 0},
        {"temperature": 2, "top_p": 1},
        {"n": MAX_CHOICES},
        {"max_tokens": 1},
        {"stream": False},
    ],
)
def test_accepted(given):
    """What asks for nothing, or for what Claude does anyway, is accepted."""
    assert load(**given).messages == load().messages


@pytest.mark.parametrize("effort", EFFORTS)
def test_efforts(effort):
    """Every one of OpenAI's reasoning efforts is taken."""
    assert load(reasoning_effort=effort).effort == effort


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logprobs", True),
        ("logprobs", 0),
        ("top_logprobs", 2),
        ("top_logprobs", False),
        ("logit_bias", {"1": 2}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("web_search_options", {}),
    ],
)
def test_unsupported(name, value):
    """What this gateway cannot do is refused by its name, never ignored."""
    assert mistake_in({"messages": [USER], name: value}) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("name", "value", "param", "code"),
    [
        ("model", 7, "model", "invalid_type"),
        ("model", "", "model", "invalid_value"),
        ("stream", "true", "stream", "invalid_type"),
        ("stream", 1, "stream", "invalid_type"),
        ("stream_options", {}, "stream_options", "invalid_value"),
        ("temperature", "0.5", "temperature", "invalid_type"),
        ("temperature", True, "temperature", "invalid_type"),
        ("temperature", 2.1, "temperature", "invalid_value"),
        ("temperature", -0.1, "temperature", "invalid_value"),
        ("temperature", float("inf"), "temperature", "invalid_value"),
        ("top_p", 1.1, "top_p", "invalid_value"),
        ("max_tokens", 0, "max_tokens", "invalid_value"),
        ("max_tokens", 1.5, "max_tokens", "invalid_type"),
        ("max_tokens", True, "max_tokens", "invalid_type"),
        ("max_completion_tokens", "9", "max_completion_tokens", "invalid_type"),
        ("n", 0, "n", "invalid_value"),
        ("n", MAX_CHOICES + 1, "n", "invalid_value"),
        ("n", 1.0, "n", "invalid_type"),
        ("stop", "", "stop", "invalid_value"),
        ("stop", ["a", ""], "stop", "invalid_value"),
        ("stop", list("abcde"), "stop", "invalid_value"),
        ("stop", [1], "stop", "invalid_type"),
        ("stop", {"a": 1}, "stop", "invalid_type"),
        ("reasoning_effort", "huge", "reasoning_effort", "invalid_value"),
        ("reasoning_effort", 3, "reasoning_effort", "invalid_type"),
        ("presence_penalty", 2.5, "presence_penalty", "invalid_value"),
        ("frequency_penalty", "0", "frequency_penalty", "invalid_type"),
        ("seed", 1.5, "seed", "invalid_type"),
        ("user", 5, "user", "invalid_type"),
        ("metadata", [], "metadata", "invalid_type"),
        ("metadata", {"a": 1}, "metadata.a", "invalid_type"),
        ("metadata", {str(i): "v" for i in range(17)}, "metadata", "invalid_value"),
        ("store", "yes", "store", "invalid_type"),
        ("verbosity", "loud", "verbosity", "invalid_value"),
        ("claude", "plain", "claude", "invalid_type"),
        ("claude", {"profile": "other"}, "claude.profile", "invalid_value"),
        ("claude", {"profil": "plain"}, "claude.profil", "invalid_value"),
        ("messages", "Hi", "messages", "invalid_type"),
        ("messages", [], "messages", "invalid_value"),
        ("messages", ["Hi"], "messages.0", "invalid_type"),
        ("messages", [USER, None], "messages.1", None),
        ("messages", None, "messages", "missing_required_parameter"),
    ],
)
def test_wrong_fields(name, value, param, code):
    """A field of a wrong type or out of its range is named, with the code that fits."""
    found = mistake_in({"messages": [USER], name: value})
    assert found == (param, code or found[1])


@pytest.mark.parametrize("name", ["temperature", "top_p"])
@pytest.mark.parametrize("effort", EFFORTS[1:])
def test_no_sampling_while_thinking(name, effort):
    """Sampling beside reasoning is refused by its name, not dropped in silence."""
    body = {"messages": [USER], "reasoning_effort": effort, name: 0.5}
    assert mistake_in(body) == (name, "unsupported_value")
    assert load(**{"reasoning_effort": effort, name: 1}).effort == effort


@pytest.mark.parametrize("id_", ["s", "a b", "ä?#%", "...", "x" * 128])
def test_session(id_):
    """A session's id is any short text that can stand in a path."""
    assert load(session_id=id_).session_id == id_
    assert load(session_id=id_, n=1).n == 1


@pytest.mark.parametrize(
    "id_", ["", "x" * 129, "a/b", "/", "a\n", "\0", "\x7f", "\x9f", ".", "..", "stats"]
)
def test_wrong_session(id_):
    """An id that would be too long, or something else in a path, is refused."""
    assert mistake_in({"messages": [USER], "session_id": id_}) == ("session_id", "invalid_value")


def test_a_session_has_one_answer():
    """Several answers of one session are refused, as it can go on from one only."""
    assert mistake_in({"messages": [USER], "session_id": "s", "n": 2}) == ("n", "invalid_value")


def test_a_summary_needs_a_session():
    """A summary that nothing would remember is refused."""
    body = {"messages": [USER], "claude": {"compact": True}}
    assert mistake_in(body) == ("claude.compact", "invalid_value")
    assert load(session_id="s", claude={"compact": True}).compacts


def test_huge_numbers():
    """An integer that no float can hold is out of range, and no crash."""
    assert mistake_in({"messages": [USER], "temperature": 10**400})[0] == "temperature"


def test_options_of_a_stream_only():
    """Options of a stream are refused where the answer is not streamed."""
    body = {"messages": [USER], "stream": False, "stream_options": {"include_usage": True}}
    assert mistake_in(body) == ("stream_options", "invalid_value")


def test_wrong_stream_options():
    """A wrong option of a stream is named by its path."""
    body = {"messages": [USER], "stream": True, "stream_options": {"include_usage": "yes"}}
    assert mistake_in(body) == ("stream_options.include_usage", "invalid_type")


def test_usage_is_not_included_unasked():
    """A stream includes its usage only where that is asked for."""
    assert load(stream=True, stream_options={}).include_usage is False
    assert load(stream=True, stream_options={"include_usage": None}).include_usage is False


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
        ({"role": "system", "content": [PICTURE]}, "content.0.type", "unsupported_value"),
        (
            {"role": "assistant", "content": ["a", PICTURE]},
            "content.0",
            "invalid_type",
        ),
        ({"role": "assistant", "content": [PICTURE]}, "content.0.type", "unsupported_value"),
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
    """A message's mistake is named by the path to it."""
    assert mistake_in({"messages": [USER, message]}) == (f"messages.1.{param}", code)


PICTURE_PART = Image(url="https://x.test/a.png")
FILE_PART = Document("text/plain", "a text", "a.txt")
CALLED = ToolCall("c", "f", '{"a": 1}')


@pytest.mark.parametrize(
    ("message", "loaded"),
    [
        (
            {"role": "user", "content": [PICTURE, FILE]},
            ChatMessage("user", (PICTURE_PART, FILE_PART)),
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
            {"role": "tool", "tool_call_id": "c", "content": [PICTURE]},
            ChatMessage("tool", (PICTURE_PART,), "c"),
        ),
        (
            {"role": "function", "name": "f", "content": "1", "tool_call_id": None},
            ChatMessage("function", ("1",), "f"),
        ),
    ],
)
def test_calls_and_results(message, loaded):
    """Calls stand after what was said, results know their call, and nulls say nothing."""
    assert load_message(**message) == loaded


@pytest.mark.parametrize(
    "arguments",
    [
        *("{}", '{"a": {"b": [1, "\u00e4"]}}', ' {"a": null} '),
        *("[]", "1", "{", '{"a": NaN}', '{"a": "\\ud800"}', "null"),
    ],
)
def test_arguments(arguments):
    """Arguments are passed on as they were written."""
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    message = load_message(role="assistant", tool_calls=[call])
    assert message.parts == (ToolCall("c", "f", arguments),)


@pytest.mark.parametrize("arguments", ["", "  ", None])
def test_no_arguments(arguments):
    """Blank arguments, or none, count as an empty object."""
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
    """A call's mistake is named by the path to it."""
    body = {"messages": [USER, {"role": "assistant", "tool_calls": [CALL, {**CALL, **change}]}]}
    found = mistake_in(body)
    assert found[0] == f"messages.1.tool_calls.1.{param}"
    assert found[1] == code


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
        {"type": "function", "name": "f", "description": "d", "input_schema": {"type": "object"}},
    ],
)
@pytest.mark.parametrize(
    ("choice", "tool_choice"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("any")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("one", "f")),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice("auto", parallel=False)),
    ],
)
def test_flat_tools(tool, choice, tool_choice):
    """Tools and the choice of one may be in the forms of Anthropic's and the Responses API."""
    body = {"messages": [USER], "tools": [tool], "tool_choice": choice}
    request = CHAT_REQUEST.load(body)
    assert request.functions == (Function("f", {"type": "object"}, "d"),)
    assert request.tool_choice == tool_choice


def test_no_messages():
    """A request without messages lacks what is required."""
    assert mistake_in({"model": "sonnet"}) == ("messages", "missing_required_parameter")


def test_answers_may_be_sent_back():
    """The gateway's own message is accepted as history, just as it came."""
    ended = Ended(Ending.DONE, Usage(), None)
    events: list[Event] = [Started("m"), ReasoningDelta("hm"), TextDelta("Hello"), ended]
    body = ChatPresenter("id", 0).whole([(0, event) for event in events])
    message = body["choices"][0]["message"]
    assert load_message(**message) == ChatMessage("assistant", ("Hello",))


def test_the_first_of_several_mistakes():
    """Of several mistakes the one is told whose field comes first, in whatever order they came."""
    wrong = {"seed": "x", "n": 0, "temperature": 9, "messages": [{"role": "user", "content": "a"}]}
    for body in (wrong, dict(reversed(wrong.items()))):
        with pytest.raises(InvalidRequest) as refused:
            load_data(CHAT_REQUEST, body)
        assert refused.value.param == "temperature"
