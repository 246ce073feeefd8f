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


@pytest.fixture(scope="module")
def servers():
    """A server without STRICT_PARAMS and one with it, as hundreds would take long to build."""
    return {strict: ScriptedServer(strict_params=strict) for strict in (False, True)}


@pytest.fixture
def ask(servers):
    """Return a function that sends a request, and returns its response and its turns."""

    def send(strict=False, **body):
        server = servers[strict]
        server.engine.turns.clear()
        return server.ask(**body), server.engine.turns

    return send


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
def test_honoured(ask, name, value, strict):
    """An honoured parameter is accepted and named in no header, also under STRICT_PARAMS."""
    response, _ = ask(strict, **CASES[name].beside, **{name: value})
    assert response.status_code == 200, response.data
    assert not {IGNORED, CLAMPED} & set(response.headers.keys(lower=True))


@pytest.mark.parametrize(
    ("name", "value"), pairs(lambda name: CASES[name].right, [Kind.IGNORED]), ids=repr
)
@pytest.mark.parametrize("stream", [False, True])
def test_ignored(ask, name, value, stream):
    """An ignored parameter is accepted and named; STRICT_PARAMS refuses it by its name."""
    response, _ = ask(stream=stream, **{name: value})
    assert (response.status_code, response.headers[IGNORED]) == (200, name)
    response, turns = ask(strict=True, stream=stream, **{name: value})
    error = error_of(response, 400)
    assert (error["param"], error["code"]) == (name, "unsupported_parameter")
    assert turns == []


@pytest.mark.parametrize(("name", "value"), pairs(lambda name: CASES[name].wrong), ids=repr)
@pytest.mark.parametrize("strict", [False, True])
def test_refused(ask, name, value, strict):
    """An invalid value, or a refused parameter, is a 400 that names the parameter."""
    response, turns = ask(strict, **CASES[name].beside, **{name: value})
    error = error_of(response, 400)
    assert error["param"].partition(".")[0] == name
    assert name in error["message"]
    refused = PARAMETERS[name].kind is Kind.REFUSED
    assert (error["code"] == "unsupported_parameter") == refused
    assert turns == []


@pytest.mark.parametrize(
    ("name", "value"), pairs(lambda name: (*PARAMETERS[name].neutral, None)), ids=repr
)
@pytest.mark.parametrize("model", ["sonnet", NEWEST])
def test_neutral(ask, name, value, model):
    """A neutral value is always accepted, and never named."""
    body = {"model": model, **CASES[name].beside, name: value}
    response, _ = ask(strict=True, **body)
    if name == "messages":
        error_of(response, 400)
    else:
        assert response.status_code == 200, response.data
        assert IGNORED not in response.headers


def test_all_names_at_once(ask):
    """All ignored parameters are named in one header, in the order of the table."""
    body = {name: CASES[name].right[0] for name in PARAMETERS.of(Kind.IGNORED)}
    response, _ = ask(**body, temperature=2)
    assert response.headers[IGNORED] == ", ".join(PARAMETERS.of(Kind.IGNORED))
    assert response.headers[CLAMPED] == "temperature"


@pytest.mark.parametrize("strict", [False, True])
def test_unknown_fields(ask, strict):
    """Fields of neither API are ignored silently, also under STRICT_PARAMS."""
    response, _ = ask(strict, min_p=4, chat_template_kwargs={"a": 1}, x=None)
    assert response.status_code == 200
    assert IGNORED not in response.headers


@pytest.mark.parametrize("temperature", [1.01, 2])
def test_clamped(ask, temperature):
    """A temperature above the model's maximum is reduced to it, and named or refused."""
    response, turns = ask(temperature=temperature)
    assert (response.status_code, response.headers[CLAMPED]) == (200, "temperature")
    assert IGNORED not in response.headers
    assert turns[0].sampling.temperature is None
    response, _ = ask(strict=True, temperature=temperature)
    error = error_of(response, 400)
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
