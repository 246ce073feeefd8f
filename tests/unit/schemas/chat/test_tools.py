"""The functions and the answer's format: what a request may say, and what becomes of it."""

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
def test_taken(fields, functions, tool_choice):
    """Functions are offered as they are given, and called as it is chosen."""
    request = load(**fields)
    assert (request.functions, request.tool_choice) == (functions, tool_choice)
    assert request.legacy_functions == ("functions" in fields)


@pytest.mark.parametrize("parameters", [None, {}, OBJECT])
def test_no_parameters(parameters):
    """A function without parameters has the schema of none."""
    given = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    assert load(tools=given).functions == (F,)


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
    """What makes no sense is refused, and named."""
    assert refusal(**fields).param == param


@pytest.mark.parametrize(
    ("given", "output_schema"),
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
def test_shapes(given, output_schema):
    """The answer's format is a shape, or none."""
    assert load(response_format=given).output_schema == output_schema
    assert load(response_format=None).output_schema is None


def test_functions_make_it_plain():
    """The message of a schema that is none says what is wrong with it."""
    given = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "no"}}}}
    error = refusal(tools=[{"type": "function", "function": given}])
    assert error.code == "invalid_function_parameters"
    assert "is not a valid JSON Schema" in error.message
    with pytest.raises(ValidationError):
        load(tools=[{"type": "function", "function": given}])
