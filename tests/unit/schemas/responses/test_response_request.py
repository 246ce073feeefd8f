"""The request for a response: what its fields become."""

import pytest

from tests.support.responses import ask
from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.testing.engine import answer

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORMAT = {"type": "json_schema", "name": "shape", "schema": SCHEMA, "strict": True}


def turn_of(**fields):
    server = ScriptedServer()
    response = ask(server, **fields)
    assert response.status_code == 200, response.json
    return server.engine.turns[0], response.json


def test_sampling():
    """Limits and sampling reach the turn, and the answer repeats them."""
    turn, response = turn_of(max_output_tokens=9, temperature=0.5, top_p=0.5, model="haiku")
    assert (turn.sampling.max_tokens, turn.sampling.temperature, turn.sampling.top_p) == (
        *(9, 0.5, 0.5),
    )
    assert turn.model == "haiku"
    repeated = {name: response[name] for name in ("max_output_tokens", "temperature", "top_p")}
    assert repeated == {"max_output_tokens": 9, "temperature": 0.5, "top_p": 0.5}


def test_effort():
    """The effort reaches the turn."""
    turn, response = turn_of(reasoning={"effort": "high", "summary": "auto"})
    assert turn.sampling.effort == "high"
    assert response["reasoning"] == {"effort": "high", "summary": "auto"}


def test_output_schema():
    """A schema stands in the format itself."""
    server = ScriptedServer(script=lambda turn: answer('{"a": 1}'))
    assert ask(server, text={"format": FORMAT}).status_code == 200
    (turn,) = server.engine.turns
    assert turn.output_schema
    assert (turn.output_schema.name, turn.output_schema.strict) == ("shape", True)
    assert turn.output_schema.schema == SCHEMA


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"reasoning": {"effort": "low"}, "temperature": 0.5}, "temperature"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"text": {"format": {**FORMAT, "schema": {"type": "string"}}}}, "text.format.schema"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"a" * 65: "b"}}, f"metadata.{'a' * 65}"),
        ({"include": ["message.output_text.logprobs"]}, "include.0"),
        ({"claude": {"prefill": True}}, "claude.prefill"),
        ({"claude": {"compact": True}}, "claude.compact"),
        ({"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm"),
    ],
)
def test_refused(fields, param):
    """A value that is not valid is a 400 that names its path."""
    error = error_of(ask(ScriptedServer(), **fields), 400)
    assert error["param"] == param


def test_clamped():
    """A parameter that is changed has this API's name in the headers."""
    response = ask(ScriptedServer(), max_output_tokens=10_000_000)
    assert response.headers["x-clamped-params"] == "max_output_tokens"
