"""The gateway accepts exactly the requests that its OpenAPI document allows."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from tests.support.pictures import part, picture
from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.openapi import build_document
from wrapper.schemas.chat.parameters import PARAMETERS

SERVER = ScriptedServer()
SCHEMAS = build_document(SERVER.app, needs_key=False)["components"]["schemas"]
REQUEST = {"$ref": "#/components/schemas/ChatRequest", "components": {"schemas": SCHEMAS}}
VALIDATOR = OAS31Validator(REQUEST)
FULL: dict[str, Any] = {
    "role": "assistant",
    "content": "Yes",
    "refusal": None,
    "annotations": [],
    "name": "n",
}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
LEGACY = {"role": "assistant", "function_call": {"name": "f", "arguments": None}}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "1"}
PICTURE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": None}}
FILE = {"type": "file", "file": {"file_data": "a", "filename": None, "file_id": None}}

SOURCE = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
USED = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "1"}]}

SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {}}}
FUNCTION = {"name": "f", "description": None, "parameters": SCHEMA, "strict": True, "other": 1}
TOOLS = [{"type": "function", "function": FUNCTION}]
ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}


GOOD = [
    {"model": "opus"},
    {"tools": [], "tool_choice": "auto", "functions": [], "function_call": "none"},
    {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
    {"tools": [{"type": "function", **FUNCTION}]},
    {"tools": [{"name": "f", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}]},
    {"tools": [{"type": "custom", "name": "f", "description": "d", "input_schema": {}}]},
    {"tool_choice": {"type": "auto"}},
    {"messages": [{"role": "user", "content": [SOURCE]}]},
    {"messages": [{"role": "assistant", "content": [USE]}, {"role": "user", "content": [USED]}]},
    {"tool_choice": {"type": "none"}},
    {"tools": TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    {"tools": TOOLS, "tool_choice": {"type": "tool", "name": "f"}},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    {"functions": [FUNCTION], "function_call": {"name": "f"}},
    {"response_format": {"type": "text", "other": 1}},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": None}}},
    {"model": None, "stream": None, "n": None, "claude": None, "metadata": None},
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"stream": True, "stream_options": {"include_usage": None}},
    {"stream_options": None, "stream": False},
    {"max_tokens": 1, "max_completion_tokens": 2**31 - 1},
    {"temperature": 0, "top_p": 1},
    {"temperature": 2.0, "reasoning_effort": "high", "top_p": 1},
    {"temperature": 0.5, "reasoning_effort": "none"},
    {"stop": "x"},
    {"stop": []},
    {"stop": [" ", "\n", "a", "b"]},
    {"n": 8},
    {"claude": {"profile": "plain", "show_tool_use": True}},
    {"claude": {"profile": None, "show_tool_use": None}},
    {"presence_penalty": -2, "frequency_penalty": 2, "seed": -(2**70)},
    {"metadata": {str(i): "v" for i in range(16)}},
    {"service_tier": "auto", "verbosity": "low", "store": False, "user": "u"},
    {"unknown": {"a": [1]}, "top_k": 4},
    {"session_id": "s", "n": 1, "claude": {"compact": True}},
    {"session_id": None, "n": 2},
    {"messages": [USER, FULL, USER]},
    {"messages": [{**USER, "tool_calls": [], "function_call": {}, "x": 1}]},
    {"messages": [USER, {"role": "assistant", "refusal": "No"}, USER]},
    {"messages": [{"role": "system", "content": []}, USER]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "x": {}}]}]},
    {"messages": [USER, {**FULL, "content": [{"type": "refusal", "refusal": ""}]}, USER]},
    {"prediction": {"type": "content", "content": "x"}, "moderation": {}},
    {"prompt_cache_key": "k", "prompt_cache_options": {}, "prompt_cache_retention": "24h"},
    *({name: v} for name, row in PARAMETERS.items() for v in row.neutral),
    *({name: None} for name in PARAMETERS if name != "messages"),
    {"messages": [USER, CALLS, RESULT]},
    {"messages": [USER, {**CALLS, "content": "a", "refusal": None}, RESULT, USER]},
    {"messages": [USER, CALLS, {**RESULT, "content": [PICTURE], "name": "f"}]},
    {"messages": [USER, LEGACY, {"role": "function", "name": "f", "content": "1"}]},
    {"messages": [{"role": "user", "content": [PICTURE, FILE]}]},
    {"messages": [{"role": "user", "content": [part(picture())]}]},
    {"messages": [USER, {"role": "assistant", "content": "a", "function_call": {}}, USER]},
    {"messages": [USER, {**CALLS, "tool_calls": []}, USER]},
    {"messages": [USER, {"role": "assistant", "content": None, "refusal": None}, USER]},
    {"messages": [USER, {"role": "assistant"}]},
    {"messages": [FULL, RESULT, {"role": "system", "content": ""}]},
    {
        "messages": [
            {
                **CALLS,
                "tool_calls": [{**CALL, "function": {"name": "a.b", "arguments": "null"}}] * 2,
            }
        ]
    },
    {"messages": [USER, CALLS, {"role": "tool", "content": "Hi", "tool_call_id": ""}]},
    {"messages": [USER, CALLS, {"role": "tool", "content": None, "tool_call_id": "c"}]},
    {"messages": [USER, {**CALLS, "tool_calls": [{**CALL, "id": ""}]}, RESULT]},
]
BAD = [
    {"messages": None},
    {"messages": []},
    {"messages": {}},
    {"messages": {"0": USER}},
    {"messages": "Hi"},
    {"messages": [USER, None]},
    {"messages": [USER, "Hi"]},
    {"messages": [{"content": "Hi"}]},
    {"messages": [USER, CALLS, {"role": "tool", "content": "Hi"}]},
    {"messages": [USER, CALLS, {"role": "tool", "content": [FILE], "tool_call_id": "c"}]},
    {"messages": [USER, LEGACY, {"role": "function", "content": "1"}]},
    {"messages": [USER, {**CALLS, "tool_calls": [{**CALL, "type": "custom"}]}, RESULT]},
    {"messages": [USER, {**CALLS, "tool_calls": [{**CALL, "function": {}}]}, RESULT]},
    {"messages": [USER, {**CALLS, "content": [PICTURE]}, RESULT]},
    {"messages": [{"role": "system", "content": [PICTURE]}, USER]},
    {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "a"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": " "}}]}]},
    {"messages": [{**USER, "tool_calls": [CALL]}]},
    {"messages": [{"role": None, "content": "Hi"}]},
    {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": None, "refusal": "No"}]},
    {"messages": [{"role": "user", "content": {}}]},
    {"messages": [{"role": "user", "content": ["Hi"]}]},
    {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
    {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "refusal": "Hi"}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
    {"messages": [{**USER, "name": 7}]},
    {"messages": [{**USER, "tool_calls": [{"id": "c"}]}]},
    {"messages": [{**USER, "tool_calls": 0}]},
    {"messages": [{**USER, "function_call": {"name": "f"}}]},
    {"model": ""},
    {"model": 7},
    {"stream": 1},
    {"stream": "true"},
    {"stream_options": {}},
    {"stream_options": {"include_usage": True}, "stream": None},
    {"stream_options": {"include_usage": 1}, "stream": True},
    {"stream_options": [], "stream": True},
    {"max_tokens": 0},
    {"max_tokens": 2**31},
    {"max_tokens": True},
    {"max_completion_tokens": 1.5},
    {"temperature": 2.01},
    {"temperature": -1},
    {"temperature": "0"},
    {"temperature": False},
    {"temperature": 0.5, "reasoning_effort": "low"},
    {"top_p": 0, "reasoning_effort": "low"},
    {"top_p": 1.1},
    {"stop": ""},
    {"stop": ["a", ""]},
    {"stop": list("abcde")},
    {"stop": ["a", None]},
    {"n": 9},
    {"reasoning_effort": "huge"},
    {"reasoning_effort": ["low"]},
    {"claude": {"profil": "plain"}},
    {"claude": {"profile": "other"}},
    {"claude": []},
    {"presence_penalty": 2.5},
    {"seed": 0.5},
    {"user": 5},
    {"metadata": {"a": None}},
    {"metadata": {str(i): "v" for i in range(17)}},
    {"metadata": []},
    {"store": "yes"},
    {"service_tier": False},
    {"verbosity": "loud"},
    {"prediction": "x"},
    {"prompt_cache_key": 1},
    {"prompt_cache_options": []},
    {"prompt_cache_retention": True},
    {"moderation": "strict"},
    {"tools": [{"type": "function"}]},
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"tools": TOOLS, "tool_choice": {"type": "function"}},
    {"tools": TOOLS, "tool_choice": {"type": "tool"}},
    {"messages": [{"role": "user", "content": [USE]}]},
    {"messages": [{"role": "assistant", "content": [USED]}]},
    {"messages": [{"role": "user", "content": [{**USED, "content": 7}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
    {"tools": TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": "yes"}},
    {"tool_choice": {"type": "any"}},
    {"tools": [{"name": "f"}]},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    {"tools": [{"type": "bash", "name": "f", "input_schema": {}}]},
    {"tools": [{"name": "f", "input_schema": {"type": "array"}}]},
    {"tools": TOOLS, "tool_choice": {"type": "other"}},
    {"tools": TOOLS, "tool_choice": []},
    {"tools": TOOLS, "functions": [FUNCTION]},
    {"tools": [*TOOLS, "f"]},
    {"tools": [{"type": "custom", "function": FUNCTION}]},
    {"tools": [{"type": "function", "function": {"name": "a b"}}]},
    {"tools": [{"type": "function", "function": {**FUNCTION, "parameters": {"type": "array"}}}]},
    {"tools": [{"type": "function", "function": {**FUNCTION, "parameters": {"anyOf": []}}}]},
    {"tools": [{"type": "function", "function": {**FUNCTION, "parameters": False}}]},
    {"functions": [{"description": "no name"}]},
    {"functions": [FUNCTION], "function_call": "required"},
    {"function_call": {"name": "f"}},
    {"parallel_tool_calls": "yes"},
    {"response_format": {}},
    {"response_format": {"type": "xml"}},
    {"response_format": {"type": "json_schema"}},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": []}}},
    {"logprobs": True},
    {"logprobs": 0},
    {"top_logprobs": False},
    {"modalities": ["text", "audio"]},
    {"audio": {}},
    {"session_id": ""},
    {"session_id": "a/b"},
    {"session_id": "stats"},
    {"session_id": "x" * 129},
    {"session_id": "a\n"},
    {"session_id": "s", "n": 2},
    {"claude": {"compact": True}},
]


@pytest.fixture(scope="module", autouse=True)
def _closed():
    """Close the server after the last test."""
    yield
    SERVER.app.extensions["wrapper"].close()


def is_taken(body):
    """Say whether the gateway accepts the body, whatever the model and its answer."""
    status = SERVER.ask(**body).status_code
    assert status in (200, 400, 404, 502)
    return status != 400


def is_allowed(body):
    return VALIDATOR.is_valid({"messages": [USER], **body})


@pytest.mark.parametrize("body", GOOD, ids=str)
def test_good(body):
    """A request that the document allows is accepted."""
    assert is_allowed(body)
    assert is_taken(body)


@pytest.mark.parametrize("body", BAD, ids=str)
def test_bad(body):
    """A request that the document does not allow is refused with 400."""
    assert not is_allowed(body)
    assert not is_taken(body)


@pytest.mark.parametrize("body", [[], "Hi", 7, None, True])
def test_no_object(body):
    """A body that is not an object is neither allowed nor accepted."""
    assert not VALIDATOR.is_valid(body)
    error_of(SERVER.post(body if body is not None else "null"), 400)


_EDGES = [0, 1, 2, 8, 9, -2, 2**31 - 1, 2**31, 0.0, 1.0, 2.0, -2.0, False, True, "", [], {}, None]
_WORDS = ["none", "low", "max", "auto", "agent", "text", "user", "assistant", "tool", "a b"]
_scalars = st.one_of(
    st.sampled_from(_EDGES + _WORDS),
    st.integers(),
    st.floats(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
_keys = st.sampled_from(["type", "text", "refusal", "profile", "include_usage", "x"])
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)
_PROPERTIES = SCHEMAS["ChatRequest"]["properties"]
_INTEGERS = {name for name, row in _PROPERTIES.items() if "integer" in row.get("type", ())}


def _writable(fields):
    """Say whether JSON Schema can express this: to it 1.0 is an integer, and here it is not."""
    return not any(
        name in _INTEGERS and isinstance(value, float) and value.is_integer()
        for name, value in fields.items()
    )


_fields = st.dictionaries(
    st.sampled_from(sorted(set(_PROPERTIES) - {"messages"})), _values, max_size=4
).filter(_writable)


@given(_fields)
@settings(max_examples=150)
def test_any_fields(fields):
    """For any fields of a request, the document and the gateway agree."""
    assert is_allowed(fields) == is_taken(fields)


@given(st.data(), st.sampled_from(sorted(set(_PROPERTIES) - {"messages"})))
@settings(max_examples=150)
def test_any_number_and_word(data, name):
    """For the numbers and words of each field, the document and the gateway agree."""
    near = st.sampled_from([0, 1, 2, 8, -2, 2**31 - 1]).flatmap(
        lambda edge: st.sampled_from([edge - 1, edge, edge + 1, edge + 0.25, edge - 0.25])
    )
    words = [*_WORDS, *_PROPERTIES[name].get("enum", [])]
    body = {name: data.draw(near | st.sampled_from(words) | st.integers())}
    assert is_allowed(body) == is_taken(body)


@given(
    st.dictionaries(st.sampled_from(sorted(SCHEMAS["Message"]["properties"])), _values, max_size=4),
    st.booleans(),
)
@settings(max_examples=150)
def test_any_message(message, complete):
    """For any message, the document and the gateway agree.

    That calls and results belong together is what no JSON Schema can tell.
    """
    asked = {**message, "role": "assistant"} if complete else message
    assume(asked.get("role") not in ("tool", "function"))
    body = {"messages": [USER, asked, USER]}
    assert is_allowed(body) == is_taken(body)
