"""Tools, functions, the choice among them, and the response format."""

import pytest
from marshmallow import ValidationError

from wrapper.errors import InvalidRequest
from wrapper.schemas.base import load_data
from wrapper.schemas.chat.request import CHAT_REQUEST
from wrapper.services.turn import Function, OutputSchema, ToolChoice

pytestmark = pytest.mark.packages

USER = {"role": "user", "content": "Hi"}
OBJECT = {"type": "object", "properties": {}}
F, G = Function("f", OBJECT), Function("g", OBJECT)


def tools(*names):
    return [{"type": "function", "function": {"name": name}} for name in names]


def load(**fields):
    return CHAT_REQUEST.load({"messages": [USER], **fields})


def refusal(**fields):
    with pytest.raises(InvalidRequest) as caught:
        load_data(CHAT_REQUEST, {"messages": [USER], **fields})
    return caught.value


@pytest.mark.parametrize(
    ("fields", "functions", "tool_choice"),
    [
        ({}, (), ToolChoice()),
        ({"tools": [], "tool_choice": "auto"}, (), ToolChoice()),
        ({"tools": tools("f")}, (F,), ToolChoice()),
        ({"tools": tools("f"), "tool_choice": "none"}, (F,), ToolChoice("none")),
        ({"tools": tools("f"), "tool_choice": "required"}, (F,), ToolChoice("any")),
        ({"tools": tools("f"), "parallel_tool_calls": False}, (F,), ToolChoice(parallel=False)),
        (
            {
                "tools": tools("f", "g"),
                "tool_choice": {"type": "function", "function": {"name": "g"}},
            },
            (F, G),
            ToolChoice("one", "g"),
        ),
        (
            {
                "tools": tools("f", "g"),
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "required", "tools": tools("g")},
                },
            },
            (G,),
            ToolChoice("any"),
        ),
        ({"functions": [{"name": "f"}]}, (F,), ToolChoice(parallel=False)),
        (
            {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
            (F,),
            ToolChoice("one", "f", parallel=False),
        ),
    ],
)
def test_loaded(fields, functions, tool_choice):
    """Functions and the tool choice are loaded from both of OpenAI's forms."""
    request = load(**fields)
    assert (request.functions, request.tool_choice) == (functions, tool_choice)
    assert request.legacy_functions == ("functions" in fields)


@pytest.mark.parametrize("parameters", [None, {}, OBJECT])
def test_no_parameters(parameters):
    """A function without parameters gets the schema of an empty object."""
    value = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    assert load(tools=value).functions == (F,)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": tools("f", "f")}, "tools.1"),
        ({"tools": tools(*(f"f{n}" for n in range(129)))}, "tools"),
        ({"tools": tools("a.b")}, "tools.0.function.name"),
        ({"tools": tools("f\n")}, "tools.0.function.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0.type"),
        ({"tools": tools("f"), "tool_choice": {"type": "function"}}, "tool_choice.function"),
        (
            {
                "tools": tools("f"),
                "tool_choice": {"type": "function", "function": {"name": "g"}},
            },
            "tool_choice",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": tools("f"), "tool_choice": "sometimes"}, "tool_choice"),
        ({"functions": [{"name": "f"}], "tools": tools("f")}, "functions"),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ],
)
def test_refused(fields, param):
    """A contradictory or invalid combination is refused by its path."""
    assert refusal(**fields).param == param


@pytest.mark.parametrize(
    ("value", "output_schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputSchema("json_object", {"type": "object"})),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "schema": OBJECT}},
            OutputSchema("x", OBJECT),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "x"}},
            OutputSchema("x", {"type": "object"}),
        ),
    ],
)
def test_response_format(value, output_schema):
    """The response format loads to an output schema, or to None for text."""
    assert load(response_format=value).output_schema == output_schema
    assert load(response_format=None).output_schema is None


def test_invalid_schema():
    """The error of an invalid JSON Schema says what is wrong with it."""
    value = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "no"}}}}
    error = refusal(tools=[{"type": "function", "function": value}])
    assert error.code == "invalid_function_parameters"
    assert "is not a valid JSON Schema" in error.message
    with pytest.raises(ValidationError):
        load(tools=[{"type": "function", "function": value}])


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
        {"type": "function", "name": "f", "description": "d", "input_schema": {"type": "object"}},
    ],
)
@pytest.mark.parametrize(
    ("choice", "tool_choice"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("any")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("one", "f")),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice("auto", parallel=False)),
    ],
)
def test_flat_tools(tool, choice, tool_choice):
    """Tools and tool_choice may be in the forms of Anthropic's API and the Responses API."""
    body = {"messages": [USER], "tools": [tool], "tool_choice": choice}
    request = CHAT_REQUEST.load(body)
    assert request.functions == (Function("f", {"type": "object"}, "d"),)
    assert request.tool_choice == tool_choice
