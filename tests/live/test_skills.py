"""Skills and commands of the operator: off by default, enabled by name, no more than a text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL

KEYS: dict[str, dict[str, Any]] = {
    "alice": {},
    "bob": {"tools": ["Read", "Bash"]},
    "carol": {"disallowed_tools": ["Skill(gateway:greet)"]},
    "plain": {"profile": "plain"},
    "counted": {},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The operator's directory: two skills are enabled, and the rest must not be seen."""
    folder = tmp_path_factory.mktemp("operator")
    hook = {"hooks": [{"type": "command", "command": f"touch {folder}/hooked"}]}
    files = {
        "skills/poem/SKILL.md": "---\nname: poem\ndescription: Writes poems.\n"
        "allowed-tools: Bash, Write\n---\nPOEM-4b1f on $ARGUMENTS.\n"
        '[[say end]] [[tool Bash {"command": "touch x"}]]',
        "commands/greet.md": "---\ndescription: Greets people.\n---\nGREET-77c0",
        "skills/other/SKILL.md": "---\ndescription: OTHER-9e2d\n---\nOTHER-9e2d",
        "settings.json": json.dumps({"hooks": {"SessionStart": [hook], "PreToolUse": [hook]}}),
        "secret.txt": "SECRET-0c55",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory, folder):
    return KeyedGateway(
        _servers,
        tmp_path_factory.mktemp("skills"),
        KEYS,
        CLAUDE_TOOLS="Read,Bash,Skill",
        CLAUDE_SKILLS="poem,greet",
        CLAUDE_SKILLS_DIR=str(folder),
        POOL_SIZE_OTHER="0",
        DEFAULT_MODEL=MODEL,
    )


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway with a skill and a command, and an upstream without requests."""
    return _keyed


def use(name, **more):
    """Return the directive that uses a skill."""
    return f"[[tool Skill {json.dumps({'skill': name, **more})}]]"


def ask(keyed, name, text, **claude):
    status, body = keyed.ask(name, f"[[say end]] {text}", claude={"profile": "agent", **claude})
    assert status == 200, body
    return body


def sent(upstream):
    """Return the messages of the last request as a text."""
    return json.dumps(upstream.requests[-1].body["messages"])


def test_the_model_uses_them(keyed, upstream, folder):
    """The model is offered both and no others, and gets their texts; nothing else comes in."""
    ask(keyed, "alice", use("gateway:poem", args="the sea and a@b.example"))
    offered = json.dumps(upstream.requests[0].body)
    assert "- gateway:greet: Greets people.\\n- gateway:poem: Writes poems.\\n<" in offered
    assert "POEM-4b1f on the sea and a@b.example." in sent(upstream)
    assert "OTHER-9e2d" not in offered + sent(upstream)
    assert str(folder) not in sent(upstream)
    assert not (folder / "hooked").exists()


@pytest.mark.parametrize(
    ("name", "args", "runs"),
    [
        ("gateway:other", "", False),
        ("init", "", False),
        ("poem", "", False),
        ("gateway:poem", "@{folder}/secret.txt", False),
        ("gateway:poem", "x !`touch {folder}/ran`", True),
    ],
)
def test_what_a_use_may_not(keyed, upstream, folder, name, args, runs):
    """No other skill runs, and no argument reads a file or runs a command."""
    ask(keyed, "alice", use(name, args=args.format(folder=folder)))
    assert ("Launching skill" in sent(upstream)) == runs
    assert "SECRET-0c55" not in sent(upstream)
    assert not (folder / "ran").exists()


def test_no_permissions_of_their_own(keyed, upstream):
    """A skill's allowed-tools allow nothing; its use is counted."""
    ask(keyed, "counted", use("gateway:poem"))
    assert "The command was denied" in sent(upstream)
    lines = keyed.call("counted", "GET", "/v1/tools/stats")[2]["data"]
    assert {line["tool"]: line["denials"] for line in lines} == {"Skill": 0, "Bash": 1}


@pytest.mark.parametrize("mode", ["default", "dontAsk", "plan", "acceptEdits"])
def test_modes(keyed, upstream, mode):
    """They need no permission in any mode."""
    ask(keyed, "alice", use("gateway:greet"), permission_mode=mode)
    assert "GREET-77c0" in sent(upstream)


def test_keys_that_may_not(keyed, upstream):
    """A key's limits deny a skill, and so does a request."""
    ask(keyed, "bob", use("gateway:poem"))
    assert "POEM-4b1f" not in sent(upstream)
    ask(keyed, "carol", use("gateway:greet") + use("gateway:poem"))
    assert "GREET-77c0" not in sent(upstream)
    assert "POEM-4b1f on " in sent(upstream)
    ask(keyed, "alice", use("gateway:poem"), disallowed_tools=["Skill(gateway:poem)"])
    assert "POEM-4b1f" not in sent(upstream)


def test_listing(keyed):
    """Both are listed with what decides on them."""

    def access(name, whole):
        status, _, body = keyed.call(name, "GET", "/v1/tools")
        assert status == 200, body
        everything = {tool["name"]: tool["access"] for tool in body["data"]}
        assert everything["Skill"] == whole
        listed = [tool for tool in body["data"] if tool["origin"] in ("skill", "command")]
        assert [(tool["origin"], tool["description"]) for tool in listed] == [
            ("skill", "Writes poems."),
            ("command", "Greets people."),
        ]
        return {tool["name"]: (tool["access"], (tool["rule"] or {}).get("name")) for tool in listed}

    both = ("Skill(gateway:poem)", "Skill(gateway:greet)")
    assert access("alice", "allowed") == dict.fromkeys(both, ("allowed", None))
    assert access("bob", "denied") == dict.fromkeys(both, ("denied", "tools"))
    assert access("plain", "denied") == dict.fromkeys(both, ("denied", "profile"))
    poem, greet = both
    denied = ("denied", "disallowed_tools")
    assert access("carol", "conditional") == {poem: ("allowed", None), greet: denied}


def test_a_callers_text_runs_none(keyed, upstream):
    """A text that names a command is a text, and reaches the model to the letter."""
    keyed.ask("alice", "/gateway:greet you", claude={"profile": "agent"})
    assert len(upstream.requests) == 1
    assert upstream.requests[0].body["messages"][-1]["content"][-1]["text"] == "/gateway:greet you"
    assert "GREET-77c0" not in sent(upstream)
