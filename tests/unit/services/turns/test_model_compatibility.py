"""The fitting: what a model does not take is left out, named, and under STRICT_PARAMS refused."""

from dataclasses import replace

import pytest

from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.errors import InvalidRequest
from wrapper.notes import Notes
from wrapper.services.catalog import NEWEST, Capabilities
from wrapper.services.messages.message import ChatMessage
from wrapper.services.request import TurnRequest
from wrapper.services.turn import ToolChoice
from wrapper.services.turns.compatibility import fit

NO_EFFORT = Capabilities(reasoning_effort=False)
NO_TOP_P = Capabilities(top_p=False)


def asked(**parameters):
    return TurnRequest((ChatMessage("user", ("Hi",)),), **parameters)


@pytest.mark.parametrize(
    ("capabilities", "given", "left", "ignored", "clamped"),
    [
        (Capabilities(), {"temperature": 0.0, "top_p": 0.5}, None, (), ()),
        (Capabilities(), {"temperature": 1.5}, None, (), ("temperature",)),
        (Capabilities(), {"effort": "none"}, None, (), ()),
        (NO_TOP_P, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",), ()),
        (NO_TOP_P, {"top_p": 1}, None, (), ()),
        (NEWEST, {"temperature": 0.0, "top_p": 0}, {}, ("temperature", "top_p"), ()),
        (NEWEST, {"temperature": 1.0, "top_p": 1.0}, None, (), ()),
        (NEWEST, {"temperature": 2}, {}, ("temperature",), ()),
        (NEWEST, {"effort": "none"}, {}, ("reasoning_effort",), ()),
        (NEWEST, {"effort": "low"}, None, (), ()),
        (NO_EFFORT, {"effort": "low"}, {}, ("reasoning_effort",), ()),
        (NO_EFFORT, {"effort": "none"}, None, (), ()),
        (NEWEST, {"tool_choice": ToolChoice("auto")}, None, (), ()),
        (Capabilities(), {"tool_choice": ToolChoice("any")}, None, (), ()),
        (NEWEST, {"idle": ("seed",), "temperature": 0}, None, ("seed", "temperature"), ()),
    ],
)
def test_fit(capabilities, given, left, ignored, clamped):
    """What the model does not take is taken out and named; all else is left as it is."""
    fitted = fit(asked(**given), capabilities, strict=False)
    assert (fitted.ignored, tuple(fitted.clamped)) == (ignored, clamped)
    if left is not None:
        assert fitted.request == asked(**left)
    lost = [*ignored, *clamped]
    assert fitted.notes == Notes(ignored_params=ignored, clamped_params=clamped)
    if lost:
        with pytest.raises(InvalidRequest) as caught:
            fit(asked(**given), capabilities, strict=True)
        assert caught.value.param == lost[0]
    else:
        assert fit(asked(**given), capabilities, strict=True) == fitted


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("tool_choice", [ToolChoice("any"), ToolChoice("one", "f")])
def test_a_demanded_call(tool_choice, legacy):
    """A call that the model cannot be forced to is only asked for; who is strict gets a 400."""
    request = asked(tool_choice=tool_choice, legacy_functions=legacy)
    fitted = fit(request, NEWEST, strict=False)
    name = "function_call" if legacy else "tool_choice"
    assert fitted.notes == Notes(adapted_params=(name,))
    assert fitted.request.tool_choice == replace(tool_choice, forced=False)
    with pytest.raises(InvalidRequest) as caught:
        fit(request, NEWEST, strict=True)
    assert caught.value.param == name


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("claude-opus-5-5", "temperature, top_p"),
        ("us.anthropic.claude-opus-4-7-v1:0", "temperature, top_p"),
        ("claude-haiku-4-5", "top_p"),
        ("claude-sonnet-4-20250514", None),
    ],
)
def test_headers(model, names, stream):
    """A client sees in a header what its model did not take."""
    server = ScriptedServer()
    asked = {"model": model, "temperature": 0.2, "top_p": 0.3, "stream": stream}
    response = server.ask(**asked)
    assert (response.status_code, response.headers.get("x-ignored-params")) == (200, names)
    sampling = server.engine.turns[0].sampling
    told = [n for n in ("temperature", "top_p") if getattr(sampling, n) is None]
    assert ", ".join(told) == (names or "")


def test_remapped_and_aliased_names():
    """What counts is the model that runs, whatever it was called."""
    settings = {"model_aliases": (("gpt-4o", "claude-opus-5-5"),), "default_model": "gpt-4o"}
    for asked in ({"model": "gpt-4o"}, {}):
        response = ScriptedServer(**settings).ask(temperature=0.5, **asked)
        assert response.headers["x-ignored-params"] == "temperature"


def test_contradiction_stays_one():
    """Sampling beside reasoning is a 400 also where the model would not take the sampling."""
    fields = {"model": "claude-opus-5-5", "temperature": 0.5, "reasoning_effort": "low"}
    assert error_of(ScriptedServer().ask(**fields), 400)["param"] == "temperature"


LONG = 1234567890123456789
UNION = {"anyOf": [{"properties": {"a": {"const": LONG}}}, {"type": "null"}]}
CALLED = {
    "role": "assistant",
    "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": f'{{"a": {LONG}}}'}}
    ],
}
ADAPTED: list[tuple[dict[str, object], str, str]] = [
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": UNION}}]},
        "x-adapted-params",
        "tools.0.function.parameters",
    ),
    (
        {"functions": [{"name": "e"}, {"name": "f", "parameters": UNION}]},
        "x-adapted-params",
        "functions.1.parameters",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": UNION}}},
        "x-adapted-params",
        "response_format.json_schema.schema",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                CALLED,
                {"role": "tool", "tool_call_id": "c", "content": "done"},
            ]
        },
        "x-adapted-messages",
        "messages.1.tool_calls.0.function.arguments",
    ),
]


@pytest.mark.parametrize(("fields", "header", "path"), ADAPTED)
def test_adapted(fields, header, path):
    """What the model gets in another form is named, and refused by name under STRICT_PARAMS."""
    response = ScriptedServer().ask(**fields)
    assert response.headers.get(header) == path
    error = error_of(ScriptedServer(strict_params=True).ask(**fields), 400)
    assert (error["param"], error["code"]) == (path, "unsupported_value")
    assert "STRICT_PARAMS" in error["message"]


@pytest.mark.parametrize(
    "schema",
    [{"type": "array"}, False, {"anyOf": [{"type": "string"}]}, {"oneOf": []}, "x"],
)
def test_no_form_is_right(schema):
    """A schema that no form can stand in for is refused by its place."""
    function = {"type": "function", "function": {"name": "f", "parameters": schema}}
    error = error_of(ScriptedServer().ask(tools=[function]), 400)
    assert error["param"] == "tools.0.function.parameters"


@pytest.mark.parametrize("param", ["max_tokens", "max_completion_tokens"])
def test_an_answer_longer_than_the_model_gives(param):
    """A limit above the model's is sent as that, under the name that the client used."""
    given = asked(max_tokens=64_001, limit_param=param)
    fitted = fit(given, Capabilities(max_output_tokens=64_000), strict=False)
    assert fitted.request.max_tokens == 64_000
    assert fitted.notes == Notes(clamped_params=(param,))
    with pytest.raises(InvalidRequest, match="64000") as caught:
        fit(given, Capabilities(max_output_tokens=64_000), strict=True)
    assert caught.value.param == param
    most = asked(max_tokens=64_000, limit_param=param)
    assert fit(most, Capabilities(max_output_tokens=64_000), strict=True).notes == Notes()
