"""The request of the Messages API: each field is passed on, handled, or refused by name."""

import json

import pytest

from wrapper.errors import InvalidRequest
from wrapper.schemas.base import load_data
from wrapper.schemas.messages.parameters import PARAMETERS
from wrapper.schemas.messages.request import MESSAGE_REQUEST, MessageRequestSchema
from wrapper.schemas.parameters import Kind

HI = {"role": "user", "content": "Hi"}
LEAST = {"model": "sonnet", "max_tokens": 9, "messages": [HI]}
# A value of each parameter that is passed on.
VALUES = {
    "model": "haiku",
    "max_tokens": 7,
    "messages": [
        HI,
        {"role": "assistant", "content": [{"type": "new", "deep": [{"x": 1.50}]}]},
        {"role": "system", "content": "Now be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a", "cache_control": {"ttl": "1h"}}],
        },
    ],
    "system": [{"type": "text", "text": "Be brief."}],
    "stream": True,
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "temperature": 0.5,
    "top_p": 1,
    "top_k": 40,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u-1"},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "cache_control": {"type": "ephemeral"},
    "inference_geo": "us",
    "service_tier": "standard_only",
    "speed": "standard",
}
REFUSED = {
    "mcp_servers": [{"type": "url", "url": "https://x"}],
    "container": "container_1",
    "skills": [{"skill_id": "xlsx"}],
    "thread": {"type": "new"},
    "claude": {"profile": "agent"},
}


def load(**fields):
    return load_data(MESSAGE_REQUEST, {**LEAST, **fields})


def refusal(**fields):
    with pytest.raises(InvalidRequest) as caught:
        load(**fields)
    return caught.value.param, caught.value.message


def test_every_parameter_is_tested():
    """Each parameter of the table has a value here, and its kind is as the value's list says."""
    assert PARAMETERS.of(Kind.HONOURED).keys() == VALUES.keys()
    assert PARAMETERS.of(Kind.REFUSED).keys() == REFUSED.keys()
    assert MessageRequestSchema().fields.keys() == VALUES.keys()


@pytest.mark.parametrize("name", VALUES)
def test_passed_on(name):
    """The value of each parameter is passed on as it came."""
    request = load(**{name: VALUES[name]})
    assert json.dumps(request.body[name]) == json.dumps(VALUES[name])
    assert request.adapted == ()


def test_all_together():
    """Nothing is added to a request, and nothing is left out."""
    request = load(**VALUES)
    assert request.body == VALUES
    assert (request.model, request.stream, request.user) == ("haiku", True, "u-1")
    assert request.profile == "plain"


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    """What the gateway cannot answer for is refused by name."""
    param, message = refusal(**{name: REFUSED[name]})
    assert param == name
    assert "not supported by this gateway" in message


@pytest.mark.parametrize("value", [1, None])
def test_unknown(value):
    """A field that the gateway does not know is refused by name: it may cost money."""
    param, message = refusal(new_thing=value)
    assert (param, message) == ("new_thing", "new_thing: Extra inputs are not permitted.")


def test_null():
    """Null stands for absence, for every optional field."""
    optional = {name: None for name in VALUES if name not in LEAST}
    assert load(**optional).body == LEAST


@pytest.mark.parametrize("name", LEAST)
def test_required(name):
    """What the API requires is required here, too."""
    with pytest.raises(InvalidRequest, match=f"^{name}: Missing data"):
        load_data(MESSAGE_REQUEST, {field: LEAST[field] for field in LEAST if field != name})


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": True}),
        ("model", {"model": ""}),
        ("messages", {"messages": "Hi"}),
        ("messages", {"messages": []}),
        ("messages", {"messages": [{"role": "system", "content": "Hi"}]}),
        ("messages.0", {"messages": ["Hi"]}),
        ("messages.0.role", {"messages": [{"role": "tool", "content": "Hi"}]}),
        ("messages.1.content", {"messages": [HI, {"role": "assistant"}]}),
        ("messages.0.content", {"messages": [{"role": "user", "content": ["Hi"]}]}),
        ("system", {"system": ["Be brief."]}),
        ("tools", {"tools": ["f"]}),
        ("tools.0.type", {"tools": [{"type": 7}]}),
        ("tool_choice", {"tool_choice": "auto"}),
        ("output_config", {"output_config": "low"}),
        ("service_tier", {"service_tier": "flex"}),
        ("speed", {"speed": "fast"}),
        ("stream", {"stream": "yes"}),
    ],
)
def test_invalid(param, fields):
    """A value of a wrong form, or one that changes the price, is refused with its path."""
    assert refusal(**fields)[0] == param


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, ()),
        ("custom", ()),
        ("bash_20250124", ()),
        ("text_editor_20250728", ()),
        ("computer_20251124", ()),
        ("memory_20250818", ()),
        ("web_search_20250305", ("web_search",)),
        ("tool_search_tool_regex", ("tool_search_tool_regex",)),
        ("mcp_toolset", ("mcp_toolset",)),
        ("bash_of_a_new_kind", ("bash_of_a_new_kind",)),
    ],
)
def test_server_tools(kind, expected):
    """Tools that the client does not run are told apart by their types, without dates."""
    assert load(tools=[{"type": kind, "name": "t"}] * 2).server_tools == expected


def test_adapted():
    """Values that Claude Code changes are named, though they are passed on."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 2**60 + 1}}
    request = load(messages=[HI, {"role": "assistant", "content": [call]}, HI])
    assert request.adapted == ("messages",)


def test_dropped():
    """A parameter of IGNORE_PARAMS is not passed on, whatever its value, and is named."""
    schema = MessageRequestSchema(ignored=("metadata", "container"))
    request = load_data(schema, {**LEAST, "metadata": 7, "container": "c"})
    assert request.body == LEAST
    assert set(request.dropped) == {"metadata", "container"}
