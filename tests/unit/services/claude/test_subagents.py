"""The subagents of the settings: mistakes are found at the start, and calls are checked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wrapper.services.claude.additions import Additions, mistakes_of
from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.services.claude.protocol.initialize import initialize_request
from wrapper.services.claude.protocol.subagent_usage import SubagentUsage
from wrapper.services.claude.subagents import listed, read_subagents, refusal
from wrapper.services.spent import Usage
from wrapper.services.tools.tool import Tool
from wrapper.services.turn import Message, Permissions, Turn
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

GOOD: dict[str, Any] = {"description": "Reviews.", "prompt": "You review.", "tools": ["Read"]}
TOOLS = ("Read", "Agent")


@pytest.fixture
def settings_of(tmp_path):
    """A function that returns settings with a file of subagents."""

    def settings_of(table: Any, *names: str, **more: Any) -> Settings:
        file = tmp_path / "subagents.json"
        file.write_text(table if isinstance(table, str) else json.dumps(table))
        given: dict[str, Any] = {"claude_subagents_file": str(file), "claude_tools": TOOLS}
        return Settings(**{**given, "claude_subagents": names, **more})

    return settings_of


def test_only_what_is_named(settings_of):
    """Those that are named are enabled, with the model of their turn; without names none is."""
    table = {"a": GOOD, "b": GOOD, "broken": 1}
    assert read_subagents(settings_of(table, "a")) == {"a": {**GOOD, "model": "inherit"}}
    assert read_subagents(settings_of(table)) == {}
    assert read_subagents(settings_of("no JSON")) == {}
    (tool,) = listed(read_subagents(settings_of(table, "b")))
    assert tool == Tool("Agent(b)", "Reviews.", origin="subagent")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("{", "is not valid JSON at line 1"),
        ([], "is no object"),
        ({}, "has no 'a'"),
        ({"a": "x"}, "a must be an object"),
        ({"a": {**GOOD, "prompt": " "}}, "a.prompt must be a nonempty text"),
        ({"a": {**GOOD, "description": 1}}, "a.description must be a nonempty text"),
        ({"a": {**GOOD, "hooks": {}, "model": "opus"}}, "a has hooks, model"),
        ({"a": {"description": "x", "prompt": "x"}}, "a.tools must be a list"),
        ({"a": {**GOOD, "tools": ["Bash"]}}, "a.tools has Bash; choose among Read"),
        ({"a": {**GOOD, "tools": ["Agent"]}}, "a.tools has Agent; choose among Read"),
    ],
)
def test_mistakes(settings_of, table, says):
    """A mistake in the file is said with its place and what to do."""
    (mistake,) = mistakes_of(settings_of(table, "a"))
    assert mistake.startswith("CLAUDE_SUBAGENTS")
    assert says in mistake


def test_contradictions(settings_of):
    """Subagents need their tool and a file; no name may be one that Claude Code has."""
    found = mistakes_of(Settings(claude_subagents=("a",)))
    assert [mistake.partition(";")[0] for mistake in found] == [
        "CLAUDE_SUBAGENTS: needs the tool Agent",
        "CLAUDE_SUBAGENTS: needs CLAUDE_SUBAGENTS_FILE, the file that has them",
    ]
    for name in ("fork", "a b", ""):
        assert "can be no subagent's name" in mistakes_of(settings_of({}, name))[0]
    absent = mistakes_of(settings_of({}, "a", claude_subagents_file="/no/such/file"))
    assert "/no/such/file cannot be read (No such file or directory)" in absent[0]


def test_profile(settings_of):
    """Agents get the subagents and no others; without any, nothing of a process changes."""
    profile = build_profiles(settings_of({"a": GOOD}, "a", claude_disallowed_tools="Write"), {})
    agent = profile["agent"]
    assert agent.arguments[agent.arguments.index("--disallowedTools") + 1] == "Write,Agent(fork)"
    assert agent.variables["CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS"] == "1"
    assert [*agent.additions.subagents] == ["a"]
    assert "You review." not in " ".join(agent.arguments)
    assert not profile["plain"].additions.subagents
    without = build_profiles(settings_of({"a": GOOD}), {})["agent"]
    assert not [name for name in without.variables if "SUBAGENT" in name]
    assert "--disallowedTools" not in without.arguments


def test_initialize():
    """The request that initializes a process has the subagents, and a hook before each of them."""
    permissions = Permissions(max_turns=2)
    turn = Turn("m", (Message("user", ("Hi",)),), profile="agent", permissions=permissions)
    request = initialize_request(turn, Additions({"a": GOOD}))
    assert request["agents"] == {"a": GOOD}
    assert [*request["hooks"]] == ["PostToolBatch", "PreToolUse"]
    assert "agents" not in initialize_request(turn)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"subagent_type": "a", "prompt": "x", "description": "x"}, ""),
        ({"subagent_type": "a", "model": ""}, ""),
        ({"subagent_type": "b"}, "There is no such subagent; there are: a."),
        ({}, "There is no such subagent"),
        ({"subagent_type": "a", "isolation": "worktree"}, "with isolation"),
        ({"subagent_type": "a", "model": "opus", "cwd": "/"}, "with model, cwd"),
    ],
)
def test_refusal(arguments, says):
    """A call may only name a subagent, and choose neither model nor directory."""
    found = refusal(arguments, {"a": GOOD})
    assert (says in found) if says else not found


def frame(parent: str | None, message: str, **counts: Any) -> dict[str, Any]:
    body = {"id": message, "content": [], "usage": counts}
    return {"type": "assistant", "parent_tool_use_id": parent, "message": body}


def test_usage():
    """Each message of a subagent counts once; the main thread's, and garbage, do not."""
    usage = SubagentUsage()
    usage.read(frame(None, "m1", input_tokens=1000))
    for _ in range(2):
        usage.read(frame("t1", "m1", input_tokens=5, output_tokens=2, cache_read_input_tokens=3))
    usage.read(frame("t2", "m1", input_tokens=7, output_tokens=-1))
    usage.read(frame("t2", "m2", input_tokens="many", output_tokens=True))
    usage.read({"type": "user", "parent_tool_use_id": "t1"})
    assert usage.usage == Usage(input=12, output=2, cache_read=3)
    assert usage.requests == 3
