"""Every parameter of the Responses API is honoured, named as without effect, or refused by name."""

import inspect

import pytest
from openai.resources.responses import Responses

from tests.support.responses import ask
from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.schemas.parameters import Kind
from wrapper.schemas.responses.parameters import PARAMETERS
from wrapper.schemas.responses.request import ResponseRequestSchema

IGNORED = "x-ignored-params"
# A value of each ignored parameter that asks for something.
ASKS = {
    "stream_options": {"include_obfuscation": True},
    "truncation": "auto",
    "max_tool_calls": 3,
    "context_management": [{"type": "compaction"}],
    "prompt_cache_key": "a",
    "prompt_cache_options": {"ttl": "1h"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "a",
    "user": "a",
    "service_tier": "flex",
    "moderation": {"model": "x"},
    "background_options": {"priority": "low"},
    "image": {"context_compression": "none"},
    "access_programs": {"cyber": "trusted"},
}
REFUSED = {
    "conversation": "conv_1",
    "background": True,
    "prompt": {"id": "pmpt_1"},
    "session_id": "a",
    "top_logprobs": 2,
}
# Parameters of the library's method that are not sent as such.
OF_LIBRARY = {"self", "extra_headers", "extra_query", "extra_body", "timeout", "text_format"}


def test_table_is_complete():
    """The table has every parameter of the library's method."""
    theirs = set(inspect.signature(Responses.create).parameters) - OF_LIBRARY
    assert theirs - set(PARAMETERS) == set()


def test_every_parameter_is_checked():
    """The schema has a field for each parameter that is not refused."""
    assert set(ResponseRequestSchema().fields) == set(PARAMETERS) - set(PARAMETERS.of(Kind.REFUSED))


@pytest.mark.parametrize("name", PARAMETERS.of(Kind.IGNORED))
def test_ignored(name):
    """A parameter without effect is named, unless its value asks for nothing."""
    server = ScriptedServer()
    assert ask(server, **{name: ASKS[name]}).headers[IGNORED] == name
    for value in (*PARAMETERS[name].neutral, None):
        assert IGNORED not in ask(server, **{name: value}).headers


@pytest.mark.parametrize("name", PARAMETERS.of(Kind.REFUSED))
def test_refused(name):
    """A parameter that cannot be honoured is a 400, unless its value asks for nothing."""
    server = ScriptedServer()
    error = error_of(ask(server, **{name: REFUSED[name]}), 400)
    assert (error["param"], error["code"]) == (name, "unsupported_parameter")
    for value in (*PARAMETERS[name].neutral, None):
        assert ask(server, **{name: value}).status_code == 200


@pytest.mark.parametrize("name", PARAMETERS.of(Kind.IGNORED))
def test_strict(name):
    """With STRICT_PARAMS, a parameter without effect is a 400."""
    error = error_of(ask(ScriptedServer(strict_params=True), **{name: ASKS[name]}), 400)
    assert error["param"] == name


def test_ignore_params():
    """What IGNORE_PARAMS names is dropped, whatever its value, and named."""
    server = ScriptedServer(ignore_params=("user", "top_p"))
    response = ask(server, user=3, top_p="warm")
    assert response.headers[IGNORED] == "user, top_p"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"reasoning": {"context": "all"}}, "reasoning.context"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"include": ["reasoning.encrypted_content", "new.thing"]}, "include.1"),
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"input": [{"type": "reasoning", "summary": []}, {"role": "user", "content": "a"}]},
         "input.0.encrypted_content"),
        ({"input": [{"type": "web_search_call"}, {"role": "user", "content": "a"}]}, "input.0"),
    ],
)  # fmt: skip
def test_parts_without_effect(fields, named):
    """What has no effect within a parameter is named by its path."""
    assert ask(ScriptedServer(), **fields).headers[IGNORED] == named
