"""Every parameter of a chat completion request, treated as the table says."""

import pytest
from openai.types.chat import completion_create_params

from tests.support.parameter_cases import CASES
from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.openapi import build_document
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.schemas.chat.request import ChatRequestSchema
from wrapper.schemas.parameters import Kind

IGNORED, CLAMPED = "x-ignored-params", "x-clamped-params"
NEWEST = "claude-opus-5-5"


def pairs(take, kinds=Kind):
    """Return pairs of each parameter of these *kinds* and each value that *take* returns for it."""
    return [(name, value) for kind in kinds for name in PARAMETERS.of(kind) for value in take(name)]


def ask(name, value, **settings):
    server = ScriptedServer(**settings)
    return server, server.ask(**CASES[name].beside, **{name: value})


def test_every_parameter_of_openai():
    """The table has every parameter of OpenAI's client, and each has test cases."""
    base = completion_create_params.CompletionCreateParamsBase
    theirs = {*base.__annotations__, "stream"}
    assert theirs - set(PARAMETERS) == set()
    assert set(PARAMETERS) - theirs <= {"claude", "session_id"} | {
        *("moderation", "prompt_cache_options", "prompt_cache_retention", "safety_identifier"),
        *("system", "thinking", "stop_sequences", "top_k", "cache_control"),  # Anthropic's
    }
    assert set(CASES) == set(PARAMETERS)


def test_every_field_is_in_the_table():
    """Every honoured or ignored parameter is validated by the schema, and no other field is."""
    checked = {name for kind in (Kind.HONOURED, Kind.IGNORED) for name in PARAMETERS.of(kind)}
    assert set(ChatRequestSchema().fields) == checked


@pytest.mark.parametrize(
    ("name", "value"), pairs(lambda name: CASES[name].right, [Kind.HONOURED]), ids=repr
)
@pytest.mark.parametrize("strict", [False, True])
def test_honoured(name, value, strict):
    """An honoured parameter is accepted and named in no header, also under STRICT_PARAMS."""
    _, response = ask(name, value, strict_params=strict)
    assert response.status_code == 200, response.data
    assert not {IGNORED, CLAMPED} & set(response.headers.keys(lower=True))


@pytest.mark.parametrize(
    ("name", "value"), pairs(lambda name: CASES[name].right, [Kind.IGNORED]), ids=repr
)
@pytest.mark.parametrize("stream", [False, True])
def test_ignored(name, value, stream):
    """An ignored parameter is accepted and named; STRICT_PARAMS refuses it by its name."""
    response = ScriptedServer().ask(stream=stream, **{name: value})
    assert (response.status_code, response.headers[IGNORED]) == (200, name)
    server = ScriptedServer(strict_params=True)
    error = error_of(server.ask(stream=stream, **{name: value}), 400)
    assert (error["param"], error["code"]) == (name, "unsupported_parameter")
    assert server.engine.turns == []


@pytest.mark.parametrize(("name", "value"), pairs(lambda name: CASES[name].wrong), ids=repr)
@pytest.mark.parametrize("strict", [False, True])
def test_refused(name, value, strict):
    """An invalid value, or a refused parameter, is a 400 that names the parameter."""
    server, response = ask(name, value, strict_params=strict)
    error = error_of(response, 400)
    assert error["param"].partition(".")[0] == name
    assert name in error["message"]
    refused = PARAMETERS[name].kind is Kind.REFUSED
    assert (error["code"] == "unsupported_parameter") == refused
    assert server.engine.turns == []


@pytest.mark.parametrize(
    ("name", "value"), pairs(lambda name: (*PARAMETERS[name].neutral, None)), ids=repr
)
@pytest.mark.parametrize("model", ["sonnet", NEWEST])
def test_neutral(name, value, model):
    """A neutral value is always accepted, and never named."""
    body = {"model": model, **CASES[name].beside, name: value}
    response = ScriptedServer(strict_params=True).ask(**body)
    if name == "messages":
        error_of(response, 400)
    else:
        assert response.status_code == 200, response.data
        assert IGNORED not in response.headers


def test_all_names_at_once():
    """All ignored parameters are named in one header, in the order of the table."""
    body = {name: CASES[name].right[0] for name in PARAMETERS.of(Kind.IGNORED)}
    response = ScriptedServer().ask(**body, temperature=2)
    assert response.headers[IGNORED] == ", ".join(PARAMETERS.of(Kind.IGNORED))
    assert response.headers[CLAMPED] == "temperature"


@pytest.mark.parametrize("strict", [False, True])
def test_unknown_fields(strict):
    """Fields of neither API are ignored silently, also under STRICT_PARAMS."""
    response = ScriptedServer(strict_params=strict).ask(
        min_p=4, chat_template_kwargs={"a": 1}, x=None
    )
    assert response.status_code == 200
    assert IGNORED not in response.headers


@pytest.mark.parametrize("temperature", [1.01, 2])
def test_clamped(temperature):
    """A temperature above the model's maximum is reduced to it, and named or refused."""
    server = ScriptedServer()
    response = server.ask(temperature=temperature)
    assert (response.status_code, response.headers[CLAMPED]) == (200, "temperature")
    assert IGNORED not in response.headers
    assert server.engine.turns[0].sampling.temperature is None
    error = error_of(ScriptedServer(strict_params=True).ask(temperature=temperature), 400)
    assert (error["param"], error["code"]) == ("temperature", "unsupported_value")


def test_descriptions_in_the_document():
    """The OpenAPI document describes every parameter, and says which are ignored."""
    document = build_document(ScriptedServer().app, needs_key=False)
    properties = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert set(properties) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        assert properties[name]["description"]
        ignored = parameter.kind is Kind.IGNORED
        assert (
            properties[name]["description"].startswith("Validated, but without effect") == ignored
        )
