"""Questions with the real Claude Code: its own and an MCP server's, answered by a turn's owner."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.approvals import decide, pending, text_of, wait_for
from tests.support.keyed_gateway import KeyedGateway
from tests.support.mcp_servers import eliciting, write_config
from tests.support.server import MODEL, eventually

TOOLS = ["Read", "AskUserQuestion"]
KEYS: dict[str, dict[str, Any]] = {
    "ann": {"admin": True},
    "alice": {"tools": TOOLS, "mcp_servers": ["asks"]},
    "bob": {"mcp_servers": ["asks"], "tools": ["Read"]},
}
ASK = {"profile": "agent", "permission_mode": "ask"}
COLOUR, SIZES = "Which colour?", "Which sizes?"
QUESTIONS = [
    {
        "question": COLOUR,
        "header": "Colour",
        "multiSelect": False,
        "options": [
            {"label": "Red", "description": "as a rose"},
            {"label": "Blue", "description": "as the sky"},
        ],
    },
    {
        "question": SIZES,
        "header": "Sizes",
        "multiSelect": True,
        "options": [{"label": size, "description": size} for size in ("S", "M", "L")],
    },
]
QUESTION = f"[[tool AskUserQuestion {json.dumps({'questions': QUESTIONS})}]] [[result]]"
BOOK = "[[tool mcp__asks__book {}]] [[result]]"
LOG_IN = "[[tool mcp__asks__log_in {}]] [[result]]"


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    settings = {
        "CLAUDE_TOOLS": ",".join(TOOLS),
        "MCP_CONFIG": write_config(folder / "mcp.json", asks=eliciting()),
        "MCP_TIMEOUT": "60000",
        "MCP_TOOL_TIMEOUT": "200000",
        "POOL_SIZE_OTHER": "0",
        "DEFAULT_MODEL": MODEL,
    }
    return KeyedGateway(_servers, folder, KEYS, **settings)


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway whose agents may ask, and an upstream without requests."""
    return _keyed


def test_question(keyed, background):
    """A question has its options, and the model gets the answers of the turn's owner."""
    asked = background(keyed.ask, "alice", QUESTION, claude=ASK)
    (approval,) = wait_for(keyed)
    assert (approval["kind"], approval["tool"]) == ("question", "AskUserQuestion")
    assert approval["input"]["questions"][0]["options"] == QUESTIONS[0]["options"]
    assert approval["preview"].splitlines()[:2] == [COLOUR, "- Red: as a rose"]
    assert pending(keyed, "bob") == []
    assert decide(keyed, approval, "bob", answers={COLOUR: "Red"})[0] == 404
    for wrong in ({COLOUR: "Green", SIZES: ["S"]}, {COLOUR: "Red"}, {COLOUR: "Red", SIZES: "S"}):
        status, error = decide(keyed, approval, answers=wrong)
        assert (status, error["error"]["param"]) == (400, "answers"), wrong
    status, error = decide(keyed, approval, decision="approve")
    assert (status, error["error"]["param"]) == (400, "answers")
    answers = {COLOUR: "Blue", SIZES: ["S", "L"]}
    status, decided = decide(keyed, approval, answers=answers)
    assert (status, decided["status"]) == (200, "approved")
    assert "Blue" not in json.dumps({**decided, "input": {}, "preview": "", "answer_schema": {}})
    assert f'"{COLOUR}"="Blue", "{SIZES}"="S, L"' in text_of(asked)
    assert decide(keyed, approval, answers=answers)[0] == 409


def test_other_words(keyed, background):
    """A question may be answered in other words than its options."""
    asked = background(keyed.ask, "alice", QUESTION, claude=ASK)
    (approval,) = wait_for(keyed)
    answers = {COLOUR: {"other": 'None, "really"'}, SIZES: {"other": "XL"}}
    assert decide(keyed, approval, "ann", answers=answers)[0] == 200
    assert 'None, "really"' in text_of(asked)


def test_denied_question(keyed, background):
    """A denied question tells the model why."""
    asked = background(keyed.ask, "alice", QUESTION, claude=ASK)
    assert decide(keyed, wait_for(keyed)[0], decision="deny", reason="Not now.")[0] == 200
    assert text_of(asked) == "AskUserQuestion was not answered: Not now."


def test_who_is_not_asked(keyed):
    """Outside of the mode ask, or where a key's limits lack the tool, questions are denied."""
    denials = (("alice", {"profile": "agent"}, "nobody to ask"), ("bob", ASK, "has been denied"))
    for name, options, why in denials:
        status, body = keyed.ask(name, QUESTION, claude=options)
        assert status == 200
        assert why in body["choices"][0]["message"]["content"]


def test_elicitation(keyed, background):
    """An MCP server's form is answered within its schema, and the server gets the answers."""
    asked = background(keyed.ask, "alice", BOOK, claude={**ASK, "mcp_servers": ["asks"]})
    (tool,) = wait_for(keyed)
    assert (tool["kind"], tool["tool"]) == ("tool", "mcp__asks__book")
    assert decide(keyed, tool, decision="approve")[0] == 200
    assert eventually(lambda: [each["kind"] for each in pending(keyed)] == ["elicitation"])
    (form,) = wait_for(keyed)
    assert (form["tool"], form["preview"]) == ("mcp__asks", "Where do you go?")
    assert form["answer_schema"]["properties"]["city"]["description"] == "Where to"
    for wrong in ({}, {"city": "x" * 21}, {"city": "Oslo", "nights": 11}, {"city": 1}):
        status, error = decide(keyed, form, answers=wrong)
        assert (status, error["error"]["param"]) == (400, "answers"), wrong
    assert decide(keyed, form, "bob", answers={"city": "Oslo"})[0] == 404
    answers = {"city": "Oslo", "nights": 3, "travel_class": "first"}
    assert decide(keyed, form, answers=answers)[0] == 200
    assert "accept: Trip(city='Oslo', nights=3, travel_class='first')" in text_of(asked)


def test_elicitation_of_a_page(keyed, background):
    """A page that a server wants the user to open is shown, and accepted or declined."""
    for decision, action in (("approve", "accept"), ("deny", "decline")):
        asked = background(keyed.ask, "alice", LOG_IN, claude={**ASK, "mcp_servers": ["asks"]})
        assert decide(keyed, wait_for(keyed)[0], decision="approve")[0] == 200
        assert eventually(lambda: [each["kind"] for each in pending(keyed)] == ["elicitation"])
        (page,) = wait_for(keyed)
        assert page["preview"] == "Log in.\nhttps://example.com/login"
        assert decide(keyed, page, decision=decision)[0] == 200
        assert json.loads(text_of(asked)) == {"result": action}


def test_elicitation_without_anyone(keyed):
    """Outside of the mode ask an MCP server gets no answer, at once."""
    options = {"profile": "agent", "mcp_servers": ["asks"]}
    asked = keyed.ask("alice", BOOK, claude=options)
    assert asked[0] == 200
    assert json.loads(asked[1]["choices"][0]["message"]["content"]) == {"result": "cancel"}
