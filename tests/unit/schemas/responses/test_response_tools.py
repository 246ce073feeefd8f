"""The tools of a response, and which of them may be called."""

from typing import Any

import pytest

from tests.support.responses import ask
from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.services.turn import Function

FUNCTION: dict[str, Any] = {
    "type": "function",
    "name": "f",
    "description": "F.",
    "parameters": None,
}
CUSTOM = {"type": "custom", "name": "c", "description": "C."}
NAMESPACE: dict[str, Any] = {"type": "namespace", "name": "ns", "tools": [FUNCTION, CUSTOM]}
ALLOWED: dict[str, Any] = {"type": "allowed_tools", "tools": [FUNCTION]}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
WRONG_MODES: list[Any] = [[], {}, None, "sometimes"]


def turn_of(**fields):
    server = ScriptedServer()
    response = ask(server, **fields)
    assert response.status_code == 200, response.json
    return server.engine.turns[0], response


def test_tools():
    """Functions, custom tools and namespaces become functions; the answer repeats them."""
    turn, response = turn_of(tools=[FUNCTION, CUSTOM, NAMESPACE])
    assert [f.name for f in turn.functions] == ["f", "c", "ns__f", "ns__c"]
    assert turn.functions[1].parameters["required"] == ["input"]
    assert response.json["tools"] == [FUNCTION, CUSTOM, NAMESPACE]
    assert turn.profile == "plain"


def test_grammar():
    """A grammar is stated in the description, which a header says."""
    turn, response = turn_of(tools=[FUNCTION, {**CUSTOM, "format": GRAMMAR}])
    assert turn.functions[1].description.endswith("lark grammar:\nstart: WORD")
    assert response.headers["x-adapted-params"] == "tools.1.format"


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview_2025", "image_generation"])
def test_omitted(kind):
    """Hosted tools that clients name in every request are left out and named."""
    turn, response = turn_of(tools=[{"type": kind}, FUNCTION])
    assert [f.name for f in turn.functions] == ["f"]
    assert response.json["tools"] == [FUNCTION]
    assert response.headers["x-ignored-params"] == "tools.0"


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        (None, "auto", ""),
        ("none", "none", ""),
        ("required", "any", ""),
        ({"type": "function", "name": "f"}, "one", "f"),
        ({"type": "custom", "name": "c"}, "one", "c"),
        ({"type": "function", "name": "f", "namespace": "ns"}, "one", "ns__f"),
    ],
)
def test_choice(choice, mode, name):
    """The tool choice is a mode or a tool by the client's name."""
    turn, response = turn_of(tools=[FUNCTION, CUSTOM, NAMESPACE], tool_choice=choice)
    assert (turn.tool_choice.mode, turn.tool_choice.name) == (mode, name)
    assert response.json["tool_choice"] == (choice or "auto")


def test_allowed_tools():
    """A list of allowed tools leaves the others out."""
    allowed = [{"type": "custom", "name": "c"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
    turn, _ = turn_of(tools=[FUNCTION, CUSTOM], tool_choice=choice)
    assert [f.name for f in turn.functions] == ["c"]
    assert turn.tool_choice.mode == "any"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [3]}, "tools.0"),
        ({"tools": [{**NAMESPACE, "tools": [{"type": "mcp"}]}]}, "tools.0.tools.0.type"),
        ({"tools": [{"type": "file_search"}]}, "tools.0.type"),
        ({"tools": [{**FUNCTION, "name": "a b"}]}, "tools.0.name"),
        ({"tools": [FUNCTION, FUNCTION]}, "tools.1.name"),
        ({"tools": [{**NAMESPACE, "tools": 3}]}, "tools.0.tools"),
        ({"tools": [{**NAMESPACE, "tools": [NAMESPACE]}]}, "tools.0.tools.0.type"),
        ({"tools": [FUNCTION] * 1 + [{**FUNCTION, "name": f"f{n}"} for n in range(128)]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        *(
            ({"tools": [FUNCTION], "tool_choice": ALLOWED | {"mode": mode}}, "tool_choice.mode")
            for mode in WRONG_MODES
        ),
    ],
)
def test_refused(fields, param):
    """A tool or a choice that cannot be honoured is a 400 that names its path."""
    assert error_of(ask(ScriptedServer(), **fields), 400)["param"] == param


@pytest.mark.parametrize("within", [False, True])
def test_most_tools(within, monkeypatch):
    """No more tools are loaded than a request may have."""
    loaded = []

    def load(tool):
        loaded.append(tool)
        return Function(tool["name"], {})

    monkeypatch.setattr("wrapper.schemas.responses.tools._FUNCTION.load", load)
    tools = [{**FUNCTION, "name": f"f{n}"} for n in range(200)]
    if within:
        tools = [{**NAMESPACE, "tools": tools}]
    error = error_of(ask(ScriptedServer(), tools=tools), 400)
    assert (error["param"], len(loaded)) == ("tools", 129)
