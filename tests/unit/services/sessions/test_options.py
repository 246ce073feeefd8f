"""The options of a session, which hold when a later request leaves them out."""

from typing import Any

import pytest

from wrapper.services.messages.message import ChatMessage
from wrapper.services.request import TurnRequest
from wrapper.services.sessions.options import Options, options_of
from wrapper.services.tools.mcp import McpServer
from wrapper.services.turn import Function

HI = (ChatMessage("user", ("Hi",)),)
SET: dict[str, Any] = {
    "model": "opus",
    "profile": "agent",
    "appends_system": True,
    "allowed_tools": ("Read",),
    "disallowed_tools": ("Bash",),
    "permission_mode": "plan",
    "max_turns": 2,
    "compacts": True,
    "mcp_servers": ("docs",),
}
OTHERS: dict[str, Any] = {
    "model": "haiku",
    "profile": "plain",
    "appends_system": False,
    "allowed_tools": (),
    "disallowed_tools": (),
    "permission_mode": "default",
    "max_turns": 9,
    "compacts": False,
    "mcp_servers": (),
}


@pytest.mark.parametrize("name", SET)
def test_kept(name):
    """An option of the first request holds for later requests that leave it out."""
    kept = options_of(TurnRequest(HI, **{name: SET[name]}), "agent")
    assert getattr(kept.fill(TurnRequest(HI)), name) == SET[name]


@pytest.mark.parametrize("name", SET)
def test_reset(name):
    """A request gets the options that it sets itself, whatever the session's are."""
    asked = TurnRequest(HI, **{name: OTHERS[name]})
    assert getattr(Options(**SET).fill(asked), name) == OTHERS[name]


def test_all_that_is_kept_is_tested():
    """This module tests every option."""
    assert set(SET) == set(OTHERS) == set(vars(Options()))


@pytest.mark.parametrize("first", [Options(), Options(profile="agent")])
def test_plain_stays(first):
    """A plain turn keeps its session plain; an agent's turn changes nothing."""
    plain = first.after(options_of(TurnRequest(HI), "plain"))
    assert plain.profile == "plain"
    agents = options_of(TurnRequest(HI, profile="agent"), "agent")
    assert (plain.after(agents), first.after(agents)) == (plain, first)


def test_the_turns_own():
    """What a later request sets holds for its own turn only."""
    assert Options(max_turns=2).after(Options(**SET)) == Options(max_turns=2)


@pytest.mark.parametrize("asked", [{"profile": "plain"}, {"functions": (Function("f", {}),)}])
def test_plain_has_no_tools_to_allow(asked: dict[str, Any]):
    """A plain turn is not refused for tools that the session allowed an agent."""
    kept = Options(allowed_tools=("Read",), mcp_servers=("docs",), permission_mode="plan")
    filled = kept.fill(TurnRequest(HI, **asked))
    assert (filled.allowed_tools, filled.mcp_servers) == (None, None)
    assert filled.permission_mode == "plan"


def test_nothing_kept():
    """The first request of a session stays unchanged."""
    asked = TurnRequest(HI, **SET)
    assert Options().fill(asked) is asked


def test_brought_servers_are_not_kept():
    """A server that the first request brings is for that request alone."""
    brought = McpServer("mine", {"type": "http", "url": "http://a"}, brought="x")
    request = TurnRequest(HI, mcp_servers=("docs", "mine"), brought_servers=(brought,))
    assert options_of(request, "agent").mcp_servers == ("docs",)
