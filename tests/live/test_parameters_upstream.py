"""Parameters by model and setting, through the real CLI: what arrives, and what headers name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.parameter_cases import CASES
from tests.support.server import MODEL
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.schemas.parameters import Kind

IGNORED, CLAMPED = "x-ignored-params", "x-clamped-params"
# A model of each family with its own rules: one that the CLI does not list, and two that it does.
OLDEST, USUAL, LATE = "claude-3-5-haiku-20241022", "claude-haiku-4-5", "claude-opus-4-7"
SAMPLED = ("temperature", "top_p")


@pytest.fixture(scope="module")
def strict(_servers):
    return _servers(STRICT_PARAMS="true", POOL_SIZE="0", DEFAULT_PROFILE="agent").wait()


def ask(server, **fields):
    """Return status, headers and raw body of a turn of the plain profile."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "[[say fine]]"}],
        "claude": {"profile": "plain"},
        **fields,
    }
    return server.call("POST", "/v1/chat/completions", body)


def told(headers):
    return {name: headers[name] for name in (IGNORED, CLAMPED) if name in headers}


def sent(upstream):
    """Return the only upstream request's body, without the user id."""
    (request,) = upstream.requests
    return {name: value for name, value in request.body.items() if name != "metadata"}


@pytest.mark.parametrize("name", [*PARAMETERS.of(Kind.REFUSED), *PARAMETERS.of(Kind.IGNORED)])
def test_strict(strict, upstream, name):
    """With STRICT_PARAMS parameters without effect are refused like unsupported ones."""
    case = CASES[name]
    status, _, data = ask(strict, **{name: (case.right or case.wrong)[0]})
    error = json.loads(data)["error"]
    assert (status, error["param"], error["code"]) == (400, name, "unsupported_parameter")
    assert upstream.requests == []


@pytest.mark.parametrize(("profile", "stream"), [("plain", True), ("agent", False)])
@pytest.mark.parametrize(
    "case",  # model, fields, which of them are ignored, and what reaches the API
    [
        ("sonnet", {"temperature": 0.5, "top_p": 0.5}, SAMPLED, {}),
        (
            "claude-opus-5-5",
            {"temperature": 0, "stop": "x"},
            SAMPLED[:1],
            {"stop_sequences": ["x"]},
        ),
        (LATE, {"temperature": 0.5, "top_p": 0.5}, SAMPLED, {}),
        (USUAL, {"temperature": 0.5, "top_p": 0.5}, SAMPLED[1:], {"temperature": 0.5}),
        (USUAL, {"top_p": 0.5}, SAMPLED[1:], {}),
        (OLDEST, {"temperature": 0.5, "top_p": 0.6}, (), {"temperature": 0.5, "top_p": 0.6}),
        (OLDEST, {"reasoning_effort": "high"}, ("reasoning_effort",), {}),
        (OLDEST, {"reasoning_effort": "none"}, (), {}),
        (LATE, {"reasoning_effort": "none"}, (), {"thinking": {"type": "disabled"}}),
        (LATE, {"reasoning_effort": "low"}, (), {"output_config": {"effort": "low"}}),
        ("haiku", {"reasoning_effort": "none"}, ("reasoning_effort",), {}),
        ("haiku", {"reasoning_effort": "max"}, (), {"output_config": {"effort": "max"}}),
    ],
    ids=str,
)
def test_by_model(gateway, strict, upstream, profile, stream, case):
    """A parameter that a model does not take is left out and named in a header."""
    model, fields, ignored, reached = case
    asked = {"model": model, "stream": stream, "claude": {"profile": profile}, **fields}
    status, headers, data = ask(gateway, **asked)
    names = ", ".join(ignored)
    assert (status, told(headers)) == (200, {IGNORED: names} if names else {}), data
    body = sent(upstream)
    assert {name: body.get(name) for name in reached} == reached
    assert not set(ignored) & set(body)
    if names:
        status, _, data = ask(strict, **asked)
        error = json.loads(data)["error"]
        assert (status, error["param"], error["code"]) == (400, ignored[0], "unsupported_parameter")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("model", ["sonnet", "opus", "haiku", "fable", LATE, USUAL, OLDEST, MODEL])
def test_models_say_it(gateway, upstream, model):
    """A parameter is ignored exactly if /v1/models says that the model does not support it."""
    _, _, data = gateway.call("GET", f"/v1/models/{model}")
    supports = json.loads(data)["supports"]
    tried: dict[str, dict[str, Any]] = {
        "temperature": {"temperature": 0.5},
        "top_p": {"top_p": 0.5},
        "reasoning_effort": {"reasoning_effort": "low"},
        "thinking_off": {"reasoning_effort": "none"},
    }
    for name, fields in tried.items():
        status, headers, data = ask(gateway, model=model, **fields)
        assert status == 200, data
        assert (IGNORED not in told(headers)) == supports[name], name


@pytest.mark.parametrize("model", ["claude-opus-4-20250514", "claude-sonnet-4-5", "sonnet"])
@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_answers_longer_than_the_model_gives(gateway, upstream, model, profile):
    """A limit above the model's becomes the one that GET /v1/models tells, and a header says so."""
    _, _, data = gateway.call("GET", f"/v1/models/{model}")
    most = json.loads(data)["supports"]["max_output_tokens"]
    messages = [{"role": "user", "content": "hello"}]
    body = {"model": model, "messages": messages, "max_tokens": most + 1}
    body |= {"claude": {"profile": profile}}
    status, headers, _ = gateway.call("POST", "/v1/chat/completions", body)
    assert (status, headers[CLAMPED]) == (200, "max_tokens")
    assert upstream.requests[-1].body["max_tokens"] == most
    _, headers, _ = gateway.call("POST", "/v1/chat/completions", {**body, "max_tokens": most})
    assert CLAMPED not in headers
