"""Processes run several conversations only where that leaves no trace, and not for ever."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.recycling import Recycling, forgets, may_continue
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.trials.recycling_checks import RECYCLING
from wrapper.services.tools.mcp import McpServer
from wrapper.services.turn import Message, SessionKey, Turn
from wrapper.settings import Settings

SESSION = SessionKey("alice", "s", "1")
SERVER = cast(McpServer, SimpleNamespace(name="files"))


def turn_of(profile="plain", **fields: Any) -> Turn:
    return Turn("sonnet", (), profile=profile, **fields)


def permits(turn, *, result: str | None = "", turns=1, age=0.0, **settings: Any) -> bool:
    """Say whether another conversation may follow *turn*, whose binary has this trial's result."""
    results = {} if result is None else {RECYCLING: result}
    process = cast(Process, SimpleNamespace(pid=1, qualification=Qualification(results)))
    recycling = Recycling(Settings(**settings), age=lambda pid: age)
    return recycling.permits(turn, process, ProcessState(turns=turns))


@pytest.mark.parametrize(
    ("setting", "profiles"),
    [("auto", ["plain", "agent"]), ("true", ["plain", "agent"]), ("false", [])],
)
def test_setting(setting, profiles):
    """POOL_RECYCLE says whose processes are recycled; its default is auto."""
    given = {"pool_recycle": setting}
    assert [p for p in ("plain", "agent") if permits(turn_of(p), **given)] == profiles
    assert Settings().pool_recycle == "auto"


@pytest.mark.parametrize("result", [None, "its field messages differs"])
def test_trial(result):
    """A process is not recycled before its binary's trial is over, nor if that failed."""
    assert not permits(turn_of(), result=result, pool_recycle="true")


@pytest.mark.parametrize("bound", [{"session": SESSION}, {"mcp_servers": (SERVER,)}])
def test_bound_turns(bound):
    """A session keeps its process to itself, and MCP servers may remember a turn."""
    assert not permits(turn_of("agent", **bound), pool_recycle="true")


def test_retirement():
    """A process that has run many turns, or is old, is not recycled."""
    given: dict[str, Any] = {"recycle_max_turns": 3, "recycle_max_age": 60}
    assert permits(turn_of(), turns=2, age=59.9, **given)
    assert not permits(turn_of(), turns=3, **given)
    assert not permits(turn_of(), age=60.0, **given)


def test_settings_of_the_host():
    """An agent that gets the host's settings is not recycled, as a hook might add to its start."""
    given: dict[str, Any] = {"pool_recycle": "true", "claude_setting_sources": "user"}
    assert permits(turn_of(), **given)
    assert not permits(turn_of("agent"), **given)


def test_forgetting():
    """A plain process is cleared at once, and an agent with one message that may be recycled."""
    one, two = Message("user", ("a",)), Message("assistant", ("b",))
    assert forgets(turn_of(session=SESSION), recyclable=False)
    agent = replace(turn_of("agent"), messages=(one,))
    assert forgets(agent, recyclable=True)
    assert not forgets(agent, recyclable=False)
    assert not forgets(replace(agent, messages=(one, two, one)), recyclable=True)


def test_own_conversation():
    """A process may go on with its conversation in a session, or if it is an agent's."""
    assert may_continue(turn_of("agent"))
    assert may_continue(turn_of(session=SESSION))
    assert may_continue(turn_of("agent", session=SESSION, mcp_servers=(SERVER,)))
    assert not may_continue(turn_of())
    assert not may_continue(turn_of("agent", mcp_servers=(SERVER,)))
