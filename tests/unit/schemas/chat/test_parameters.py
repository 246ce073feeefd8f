"""The parameters: what becomes of each, one after the other, as a client sees it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from openai.types.chat import completion_create_params

from tests.unit.routes.test_http import USER, Server, error_of
from wrapper.openapi import build_document
from wrapper.schemas.chat.parameters import PARAMETERS, Kind, of_kind
from wrapper.schemas.chat.request import ChatRequestSchema

IGNORED, CLAMPED = "x-ignored-params", "x-clamped-params"
NEWEST = "claude-opus-5-5"


@dataclass(frozen=True)
class Case:
    """Values of a parameter that are right and wrong, and what else they need."""

    right: tuple[Any, ...] = ()
    wrong: tuple[Any, ...] = ()
    beside: dict[str, Any] = field(default_factory=dict)


FUNCTION = {"type": "function", "function": {"name": "f"}}
TOOLS = {"tools": [FUNCTION]}
CASES = {
    "model": Case(("opus", "claude-sonnet-4-5"), ("", 7, [])),
    "messages": Case(([USER],), ([], "Hi", {})),
    "stream": Case((True, False), ("true", 1)),
    "stream_options": Case(({}, {"include_usage": True}), ("x", []), {"stream": True}),
    "max_tokens": Case((1, 64_000), (0, -1, 1.5, True, "9", 2**31)),
    "max_completion_tokens": Case((1, 64_000), (0, -1, 1.5, True, "9", 2**31)),
    "temperature": Case((0, 0.5, 1), (-0.1, 2.1, "1", True)),
    "top_p": Case((0, 0.5, 1), (-0.1, 1.1, "1", True)),
    "stop": Case(("x", ["a", "b"]), ("", [""], ["a"] * 5, 7)),
    "n": Case((1, 8), (0, 9, 1.0, True, "2")),
    "reasoning_effort": Case(
        ("none", "minimal", "low", "medium", "high", "xhigh", "max"), ("huge", 3, True)
    ),
    "claude": Case(({}, {"profile": "plain"}), ("plain", {"profil": "plain"})),
    "tools": Case(([FUNCTION], []), ([{"type": "f"}], {}, "x")),
    "tool_choice": Case(("none", "auto"), ("", {"type": "function"}, {"type": "x"}), TOOLS),
    "parallel_tool_calls": Case((True, False), ("no", 0), TOOLS),
    "functions": Case(([{"name": "f"}], []), ([{"name": ""}], {})),
    "function_call": Case(("none", "auto"), ({"name": "g"}, 1), {"functions": [{"name": "f"}]}),
    "response_format": Case(({"type": "text"},), ({}, "text", {"type": "json_schema"})),
    "logprobs": Case(wrong=(True, 0, "false")),
    "top_logprobs": Case(wrong=(1, 20, False)),
    "logit_bias": Case(wrong=({"1": 2}, [], 0)),
    "modalities": Case(wrong=(["text", "audio"], ["audio"], [], "text")),
    "audio": Case(wrong=({"voice": "alloy"}, {})),
    "web_search_options": Case(wrong=({}, {"search_context_size": "low"})),
    "session_id": Case(
        ("s", "a b", "ä?#%", "x" * 128, "..."),
        ("", "x" * 129, "a/b", "a\nb", "\x9f", ".", "..", "stats", 7, ["s"]),
    ),
    "presence_penalty": Case((-2, 0.1, 2), (-2.1, 2.1, "0", False)),
    "frequency_penalty": Case((-2, 0.1, 2), (-2.1, 2.1, "0", False)),
    "seed": Case((0, -1, 2**70), (0.5, "1", True)),
    "verbosity": Case(("low", "high"), ("loud", 1)),
    "prediction": Case(({"type": "content", "content": "x"},), ("x", [])),
    "user": Case(("u", ""), (5, ["u"])),
    "safety_identifier": Case(("s",), (5,)),
    "metadata": Case(({"a": "b"},), ([], {"a": 1}, {str(i): "v" for i in range(17)})),
    "store": Case((True,), ("yes", 1)),
    "service_tier": Case(("flex", "priority"), (False, 1)),
    "prompt_cache_key": Case(("k",), (5,)),
    "prompt_cache_options": Case(({"mode": "x"},), ([],)),
    "prompt_cache_retention": Case(("24h",), (24,)),
    "moderation": Case(({"model": "m"},), ("m",)),
    "system": Case(
        ("Be brief.", [{"type": "text", "text": "a"}]),
        (5, {}, [{"type": "text"}], ["a"], [{"type": "file", "file": {"file_data": "a"}}]),
    ),
    "thinking": Case(
        (
            *({"type": kind} for kind in ("enabled", "disabled", "adaptive")),
            {"type": "enabled", "budget_tokens": 10_000},
        ),
        (True, {}, {"type": "on"}, *({"type": "enabled", "budget_tokens": n} for n in (0, "9"))),
    ),
    "stop_sequences": Case((["x"], ["a", "b"]), ("x", [""], ["a"] * 5, 7)),
    "top_k": Case((1, 40), (0.5, "1", True)),
    "cache_control": Case(({"type": "ephemeral"},), ("ephemeral", [])),
}


def pairs(take, kinds=Kind):
    """Return each parameter of *kinds* with each of the values that *take* finds for it."""
    return [(name, value) for kind in kinds for name in of_kind(kind) for value in take(name)]


def ask(name, value, **settings):
    server = Server(**settings)
    return server, server.ask(**CASES[name].beside, **{name: value})


def test_every_parameter_of_openai():
    """The table has every parameter that OpenAI's own client can send, and a case above."""
    base = completion_create_params.CompletionCreateParamsBase
    theirs = {*base.__annotations__, "stream"}
    assert theirs - set(PARAMETERS) == set()
    assert set(PARAMETERS) - theirs <= {"claude", "session_id"} | {
        *("moderation", "prompt_cache_options", "prompt_cache_retention", "safety_identifier"),
        *("system", "thinking", "stop_sequences", "top_k", "cache_control"),  # Anthropic's
    }
    assert set(CASES) == set(PARAMETERS)


def test_every_field_is_in_the_table():
    """What is checked is in the table, as honoured or without effect, and nothing else is."""
    checked = {name for kind in (Kind.HONOURED, Kind.IDLE) for name in of_kind(kind)}
    assert set(ChatRequestSchema().fields) == checked


@pytest.mark.parametrize(
    ("name", "value"), pairs(lambda name: CASES[name].right, [Kind.HONOURED]), ids=repr
)
@pytest.mark.parametrize("strict", [False, True])
def test_honoured(name, value, strict):
    """What is honoured is taken and named nowhere, also under STRICT_PARAMS."""
    _, response = ask(name, value, strict_params=strict)
    assert response.status_code == 200, response.data
    assert not {IGNORED, CLAMPED} & set(response.headers.keys(lower=True))


@pytest.mark.parametrize(
    ("name", "value"), pairs(lambda name: CASES[name].right, [Kind.IDLE]), ids=repr
)
@pytest.mark.parametrize("stream", [False, True])
def test_without_effect(name, value, stream):
    """What has no effect is taken and named; under STRICT_PARAMS it is refused by its name."""
    response = Server().ask(stream=stream, **{name: value})
    assert (response.status_code, response.headers[IGNORED]) == (200, name)
    server = Server(strict_params=True)
    error = error_of(server.ask(stream=stream, **{name: value}), 400)
    assert (error["param"], error["code"]) == (name, "unsupported_parameter")
    assert server.engine.turns == []


@pytest.mark.parametrize(("name", "value"), pairs(lambda name: CASES[name].wrong), ids=repr)
@pytest.mark.parametrize("strict", [False, True])
def test_wrong(name, value, strict):
    """What is wrong, or asks for what is refused, is a 400 that names the parameter."""
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
    """What asks for nothing is always taken, and never named."""
    body = {"model": model, **CASES[name].beside, name: value}
    response = Server(strict_params=True).ask(**body)
    if name == "messages":
        error_of(response, 400)
    else:
        assert response.status_code == 200, response.data
        assert IGNORED not in response.headers


def test_all_names_at_once():
    """Everything that has no effect is named in one header, in the table's order."""
    body = {name: CASES[name].right[0] for name in of_kind(Kind.IDLE)}
    response = Server().ask(**body, temperature=2)
    assert response.headers[IGNORED] == ", ".join(of_kind(Kind.IDLE))
    assert response.headers[CLAMPED] == "temperature"


@pytest.mark.parametrize("strict", [False, True])
def test_foreign_fields(strict):
    """Fields that neither API has are ignored in silence, also under STRICT_PARAMS."""
    response = Server(strict_params=strict).ask(min_p=4, chat_template_kwargs={"a": 1}, x=None)
    assert response.status_code == 200
    assert IGNORED not in response.headers


@pytest.mark.parametrize("temperature", [1.01, 2])
def test_clamped(temperature):
    """A temperature above the model's most is sent as that, and named or refused."""
    server = Server()
    response = server.ask(temperature=temperature)
    assert (response.status_code, response.headers[CLAMPED]) == (200, "temperature")
    assert IGNORED not in response.headers
    assert server.engine.turns[0].sampling.temperature is None
    error = error_of(Server(strict_params=True).ask(temperature=temperature), 400)
    assert (error["param"], error["code"]) == ("temperature", "unsupported_value")


def test_meanings_are_in_the_document():
    """The OpenAPI document tells of every parameter, and which have no effect."""
    document = build_document(Server().app, needs_key=False)
    told = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert set(told) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        assert told[name]["description"]
        idle = parameter.kind is Kind.IDLE
        assert told[name]["description"].startswith("Checked, and without effect") == idle
