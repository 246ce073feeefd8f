"""The chat request schema: how valid requests load, and how mistakes are reported."""

import pytest

from tests.support.chat_requests import mistake_in
from wrapper.errors import InvalidRequest
from wrapper.schemas.base import load_data
from wrapper.schemas.chat.request import CHAT_REQUEST, MAX_CHOICES
from wrapper.schemas.request import EFFORTS
from wrapper.services.messages.message import ChatMessage
from wrapper.services.request import TurnRequest

pytestmark = pytest.mark.packages

USER = {"role": "user", "content": "Hi"}


def load(**fields):
    return CHAT_REQUEST.load({"messages": [USER], **fields})


def test_least_request():
    """A request with messages only leaves everything else unset."""
    assert load() == TurnRequest(messages=(ChatMessage("user", ("Hi",)),))


def test_whole_request():
    """Every honoured parameter is loaded with its value."""
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
    assert request == TurnRequest(
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
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_newer_token_limit_has_precedence(fields, limit):
    """max_completion_tokens takes precedence over max_tokens."""
    assert load(**fields).max_tokens == limit


@pytest.mark.parametrize(
    "name", [name for name in CHAT_REQUEST.fields if name not in ("messages",)]
)
def test_null_is_absence(name):
    """null means the same as an absent field."""
    assert load(**{name: None}) == load()


@pytest.mark.parametrize(
    ("fields", "stops"), [("x", ("x",)), (["x"], ("x",)), ([], ()), ([" ", "\n"], (" ", "\n"))]
)
def test_stop(fields, stops):
    """`stop` is one text or a list, and may be white space."""
    assert load(stop=fields).stop == stops


@pytest.mark.parametrize(
    "fields",
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
def test_accepted(fields):
    """Neutral values, and values that match what Claude does anyway, are accepted."""
    assert load(**fields).messages == load().messages


@pytest.mark.parametrize("effort", EFFORTS)
def test_efforts(effort):
    """Every reasoning effort of OpenAI's API is accepted."""
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
    """An unsupported parameter is refused by its name."""
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
        ("model", "m" * 513, "model", "invalid_value"),
        ("claude", {"fallback_models": ["m" * 513]}, "claude.fallback_models.0", "invalid_value"),
        ("messages", "Hi", "messages", "invalid_type"),
        ("messages", [], "messages", "invalid_value"),
        ("messages", ["Hi"], "messages.0", "invalid_type"),
        ("messages", [USER, None], "messages.1", None),
        ("messages", None, "messages", "missing_required_parameter"),
    ],
)
def test_wrong_fields(name, value, param, code):
    """A field with a wrong type or range is reported with its path and the right code."""
    mistake = mistake_in({"messages": [USER], name: value})
    assert mistake == (param, code or mistake[1])


@pytest.mark.parametrize("name", ["temperature", "top_p"])
@pytest.mark.parametrize("effort", EFFORTS[1:])
def test_sampling_beside_reasoning(name, effort):
    """Sampling beside reasoning is refused by its name."""
    body = {"messages": [USER], "reasoning_effort": effort, name: 0.5}
    assert mistake_in(body) == (name, "unsupported_value")
    assert load(**{"reasoning_effort": effort, name: 1}).effort == effort


@pytest.mark.parametrize("id_", ["s", "a b", "ä?#%", "...", "x" * 128])
def test_session(id_):
    """A session's id may be any short text that can stand in a path."""
    assert load(session_id=id_).session_id == id_
    assert load(session_id=id_, n=1).n == 1


@pytest.mark.parametrize(
    "id_", ["", "x" * 129, "a/b", "/", "a\n", "\0", "\x7f", "\x9f", ".", "..", "stats"]
)
def test_wrong_session(id_):
    """An id that is too long, or has another meaning in a path, is refused."""
    assert mistake_in({"messages": [USER], "session_id": id_}) == ("session_id", "invalid_value")


def test_several_choices_in_a_session():
    """Several choices in a session are refused, because it can continue from only one."""
    assert mistake_in({"messages": [USER], "session_id": "s", "n": 2}) == ("n", "invalid_value")


def test_compact_without_a_session():
    """`compact` without a session is refused, because its summary would be lost."""
    body = {"messages": [USER], "claude": {"compact": True}}
    assert mistake_in(body) == ("claude.compact", "invalid_value")
    assert load(session_id="s", claude={"compact": True}).compacts


def test_huge_numbers():
    """An integer too large for a float is out of range, not a crash."""
    assert mistake_in({"messages": [USER], "temperature": 10**400})[0] == "temperature"


def test_stream_options_without_stream():
    """stream_options without stream are refused."""
    body = {"messages": [USER], "stream": False, "stream_options": {"include_usage": True}}
    assert mistake_in(body) == ("stream_options", "invalid_value")


def test_wrong_stream_options():
    """A wrong stream option is reported with its path."""
    body = {"messages": [USER], "stream": True, "stream_options": {"include_usage": "yes"}}
    assert mistake_in(body) == ("stream_options.include_usage", "invalid_type")


def test_usage_is_not_included_unasked():
    """Usage is included in a stream only on request."""
    assert load(stream=True, stream_options={}).include_usage is False
    assert load(stream=True, stream_options={"include_usage": None}).include_usage is False


def test_no_messages():
    """A request without messages misses a required field."""
    assert mistake_in({"model": "sonnet"}) == ("messages", "missing_required_parameter")


def test_several_mistakes():
    """Of several mistakes, the one in the schema's first field is reported."""
    wrong = {"seed": "x", "n": 0, "temperature": 9, "messages": [{"role": "user", "content": "a"}]}
    for body in (wrong, dict(reversed(wrong.items()))):
        with pytest.raises(InvalidRequest) as refused:
            load_data(CHAT_REQUEST, body)
        assert refused.value.param == "temperature"


def test_long_name():
    """An error repeats no more than the beginning of a long name that is unknown."""
    with pytest.raises(InvalidRequest) as caught:
        load_data(CHAT_REQUEST, {"messages": [USER], "claude": {"x" * 10_000: 1}})
    assert caught.value.param == "claude." + "x" * 193
    assert caught.value.message == f"{caught.value.param}: Unknown field."
