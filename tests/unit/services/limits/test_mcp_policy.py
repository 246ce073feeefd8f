"""The policy for MCP servers: which ones a request gets, and which of their tools."""

import time

import pytest

from wrapper.errors import InvalidRequest, PermissionDenied
from wrapper.services.catalog import Catalog
from wrapper.services.limits.bounds import bounds_of
from wrapper.services.limits.policy import Policy
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import DEFAULT, LOCAL, Principal
from wrapper.services.request import TurnRequest
from wrapper.services.tools.config import ToolConfig
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import ServerState
from wrapper.settings import Settings

HI = (ChatMessage("user", ("Hi",)),)
SERVERS = {
    name: McpServer(name, {"type": "stdio", "command": name}) for name in ("docs", "dev-1", "dev-2")
}


def key(**limits):
    return Principal("alice", **limits)


def policy(**settings):
    catalog = Catalog(tuple, default="sonnet", aliases={}, remap=True)
    return Policy(Settings(**settings), catalog, lambda: SERVERS)


def grant(principal=LOCAL, settings=(), **asked):
    request = TurnRequest(**{"messages": HI, "profile": "agent", **asked})
    return policy(**dict(settings)).grant(request, "sonnet", principal)


def names(granted):
    return [server.name for server in granted.mcp_servers]


@pytest.mark.parametrize(
    ("limit", "usable"),
    [
        ((), []),
        (("docs",), ["docs"]),
        (("dev-*",), ["dev-1", "dev-2"]),
        (("*",), ["docs", "dev-1", "dev-2"]),
        (("gone",), []),
    ],
)
def test_usable(limit, usable):
    """A key may use the servers that its limit names; those of the default are none."""
    found = policy().mcp_servers(key(mcp_servers=limit))
    assert [server.name for server in found] == usable


def test_without_key_file():
    """Without a file of keys the one caller may use every server; another's keys may use none."""
    for principal in (LOCAL, DEFAULT):
        assert len(policy().mcp_servers(principal)) == 3
    assert policy().mcp_servers(key()) == ()


def test_the_default():
    """A request that names none gets those of MCP_DEFAULT_SERVERS that its key may use."""
    settings = {"mcp_default_servers": ("dev-*",)}
    assert names(grant()) == []
    assert names(grant(settings=settings)) == ["dev-1", "dev-2"]
    assert names(grant(key(mcp_servers=("docs", "dev-2")), settings)) == ["dev-2"]
    assert names(grant(settings=settings, mcp_servers=())) == []
    assert names(grant(settings=settings, mcp_servers=("docs",))) == ["docs"]
    assert names(grant(settings=settings, profile="plain")) == []


def test_beyond_the_limit():
    """A server beyond the key's limit is refused in the same words, whether it exists or not."""
    messages = []
    for name in ("docs", "nope"):
        with pytest.raises(PermissionDenied) as caught:
            grant(key(mcp_servers=("dev-*",)), mcp_servers=("dev-1", name))
        assert caught.value.param == "claude.mcp_servers.1"
        messages.append(caught.value.message.replace(name, ""))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"mcp_servers": ("nope",)}, "claude.mcp_servers.0"),
        ({"mcp_servers": ("docs",), "profile": "plain"}, "claude.mcp_servers"),
        ({"allowed_tools": ("Read", "mcp__nope__x")}, "claude.allowed_tools.1"),
        ({"disallowed_tools": ("mcp__nope",)}, "claude.disallowed_tools.0"),
    ],
)
def test_what_does_not_exist(asked, param):
    """An unknown server, and a rule for one, is a 400 that says where it stands."""
    with pytest.raises(InvalidRequest) as caught:
        grant(**asked)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_permissions():
    """A request's servers are allowed; rules of the request that deny are added."""
    granted = grant(mcp_servers=("docs", "dev-1"), disallowed_tools=("Bash", "mcp__docs__rm"))
    assert granted.permissions.allow == ("mcp__docs", "mcp__dev-1")
    assert granted.permissions.deny == ("Bash", "mcp__docs__rm")
    assert grant(settings={"claude_tools": ()}, mcp_servers=("docs",)).tools


@pytest.mark.parametrize(
    ("limits", "asked", "tools"),
    [
        ({"tools": ("Read",)}, {}, None),
        ({"tools": ("Read", "mcp__docs__a")}, {}, ("a",)),
        ({"allowed_tools": ("mcp__docs__a", "mcp__docs__b")}, {}, ("a", "b")),
        ({"tools": ("mcp__docs__a",), "allowed_tools": ("mcp__docs__b",)}, {}, ()),
        ({}, {"allowed_tools": ("Read",)}, None),
        ({}, {"allowed_tools": ("mcp__docs__a",)}, ("a",)),
        ({"tools": ("mcp__docs__a", "mcp__docs__b")}, {"allowed_tools": ("mcp__docs__b",)}, ("b",)),
    ],
)
def test_narrowed(limits, asked, tools):
    """A list narrows a server to the tools that it names, if it names any of the server."""
    granted = grant(key(mcp_servers=("docs",), **limits), mcp_servers=("docs",), **asked)
    (server,) = granted.mcp_servers
    assert server.tools == tools
    assert set(granted.permissions.allow) >= set(server.rules)
    assert ("mcp__docs" in granted.permissions.allow) == (tools is None)


def test_denied():
    """Tools that the rules of the settings or of the key deny may not be used."""
    denied = {"claude_disallowed_tools": "Bash(rm:*) mcp__docs__a"}
    limits = {"mcp_servers": ("*",), "disallowed_tools": ("mcp__docs__b", "mcp__dev-1")}
    docs, one, two = policy(**denied).mcp_servers(key(**limits))
    assert [tool for tool in "abc" if docs.permits(tool)] == ["c"]
    assert (one.permits("a"), two.permits("a")) == (False, True)


def test_a_request_cannot_widen():
    """A request cannot ask for a tool that its key's list leaves out."""
    narrow = key(mcp_servers=("docs",), tools=("Read", "mcp__docs__a"))
    with pytest.raises(PermissionDenied) as caught:
        grant(narrow, mcp_servers=("docs",), allowed_tools=("mcp__docs__b",))
    assert caught.value.param == "claude.allowed_tools.0"


def test_own_tools_of_a_list():
    """A list of tools still limits Claude Code's own, beside those of servers."""
    granted = grant(mcp_servers=("docs",), allowed_tools=("Read", "mcp__docs"))
    assert "Bash" in granted.permissions.deny
    assert "Read" not in granted.permissions.deny


def test_tool_configs():
    """The tool configs of key and session narrow servers and their tools, and widen nothing."""
    config = ToolConfig(None, ("mcp__docs__drop",), mcp_servers=("docs", "dev-1"))
    alice = key(mcp_servers=("d*",), config=config)
    assert [server.name for server in policy().mcp_servers(alice)] == ["docs", "dev-1"]
    asked = TurnRequest(HI, profile="agent", mcp_servers=("docs",))
    granted = policy().grant(asked, "sonnet", alice, ToolConfig(mcp_servers=("docs", "dev-2")))
    (docs,) = granted.mcp_servers
    assert not docs.permits("drop")
    for name in ("dev-1", "dev-2"):  # each is in one of both configs
        beyond = TurnRequest(HI, profile="agent", mcp_servers=(name,))
        with pytest.raises(InvalidRequest):
            policy().grant(beyond, "sonnet", alice, ToolConfig(mcp_servers=("docs", "dev-2")))


@pytest.mark.parametrize(
    ("config", "param"),
    [
        (ToolConfig(mcp_servers=("docs", "dev-1")), "mcp_servers.1"),
        (ToolConfig(disallowed_tools=("mcp__gone",)), "disallowed_tools.0"),
        (ToolConfig(allowed_tools=("mcp__dev-1__x",)), "allowed_tools.0"),
    ],
)
def test_config_beyond_the_key(config, param):
    """A tool config cannot name a server that the key may not use; the error names it."""
    alice = key(mcp_servers=("docs",))
    with pytest.raises((PermissionDenied, InvalidRequest)) as caught:
        policy().check_config(config, alice, bounds_of(Settings(), alice))
    assert caught.value.param == param


def brought(name="mine", url="https://mcp.example.com/mcp", **fields):
    config = {"type": "http", "url": url, "headers": {}}
    return McpServer(name, config, brought="claude.mcp_servers.0", **fields)


def bring(server, principal=LOCAL, config=None, **settings):
    """Return the server as it is granted, where the settings allow each host."""
    settings = {"mcp_caller_hosts": ("*",), **settings}
    request = TurnRequest(
        HI, profile="agent", mcp_servers=(server.name,), brought_servers=(server,)
    )
    granted = policy(**settings).grant(request, "sonnet", principal, config or ToolConfig())
    (own,) = granted.mcp_servers
    assert {*own.rules} <= {*granted.permissions.allow}
    return own


def test_brought_servers():
    """A request gets the server that it brings, where the settings and the key name its host."""
    assert bring(brought()) == brought()
    assert bring(brought(), key(mcp_hosts=("*.EXAMPLE.com",)), mcp_caller_hosts=("mcp.*",))
    dotted = brought(url="https://MCP.example.com.:8443/")
    assert bring(dotted, key(mcp_hosts=("mcp.example.com",)))


@pytest.mark.parametrize(
    ("limits", "settings", "says"),
    [
        ({}, {"mcp_caller_hosts": ()}, "(MCP_CALLER_HOSTS)"),
        ({}, {"mcp_caller_hosts": ("example.com",)}, "hosts example.com (MCP_CALLER_HOSTS)"),
        ({"mcp_hosts": ()}, {}, "none (mcp_hosts)"),
        ({"mcp_hosts": ("*.example.org",)}, {}, "hosts *.example.org (mcp_hosts)"),
        ({"config": ToolConfig(mcp_servers=("mine",))}, {}, "no more than mine (mcp_servers)"),
    ],
)
def test_brought_servers_on_other_hosts(limits, settings, says):
    """A server elsewhere is a 403 that names the limit."""
    with pytest.raises(PermissionDenied) as caught:
        bring(brought(), key(**{"mcp_hosts": ("*",), **limits}), **settings)
    assert caught.value.param == "claude.mcp_servers.0"
    assert says in caught.value.message


def test_brought_servers_in_a_session():
    """A session whose tool config has MCP servers allows none that a request brings."""
    with pytest.raises(PermissionDenied, match="session's tool config"):
        bring(brought(), config=ToolConfig(mcp_servers=()))


def test_private_hosts():
    """Only a host that the settings name may have other addresses than public ones."""
    settings = {"mcp_private_hosts": ("MCP.example.com", "*.example.org")}
    assert bring(brought(), **settings).private
    assert not bring(brought(url="https://a.example.org/"), **settings).private


def test_brought_servers_with_a_known_name():
    """A server cannot have the name of one that the caller may use, which it would replace."""
    with pytest.raises(InvalidRequest, match="another name"):
        bring(brought("docs"))
    assert bring(brought("docs"), key(mcp_hosts=("*",)))


def test_rules_for_brought_servers():
    """A key's lists and rules narrow a brought server as they do others."""
    limited = key(mcp_hosts=("*",), tools=("mcp__mine__a",), disallowed_tools=("mcp__mine__b",))
    assert bring(brought(), limited).tools == ("a",)
    assert bring(brought(tools=("b", "c")), limited).tools == ()
    assert bring(brought(), limited).denied == ("b",)


@pytest.mark.parametrize("limits", [{}, {"tools": True}, {"disallowed_tools": True}])
def test_thousands_of_rules(limits):
    """Granting takes time in proportion to the tools and rules that a request names."""
    tools = tuple(f"t{number}" for number in range(20_000))
    rules = tuple(f"mcp__mine__{tool}" for tool in tools)
    others = tuple(f"mcp__mine__other{number}" for number in range(20_000))
    lists = {"tools": rules, "disallowed_tools": others}
    principal = key(mcp_hosts=("*",), **{name: lists[name] for name in limits})
    asked = {"mcp_servers": ("mine",), "brought_servers": (brought(tools=tools),)}
    began = time.process_time()
    granted = grant(principal, {"mcp_caller_hosts": ("*",)}, allowed_tools=rules, **asked)
    (server,) = granted.mcp_servers
    assert all(map(server.permits, tools))
    assert time.process_time() - began < 2


def test_a_rule_many_times():
    """The tools of a server are looked up once, however many rules of a request name them."""
    state = ServerState("connected", tuple(f"t{number}" for number in range(2000)), 0.0, 0.0)
    catalog = Catalog(tuple, default="sonnet", aliases={}, remap=True)
    checking = Policy(Settings(), catalog, lambda: SERVERS, lambda servers: {"docs": state})
    rules = ("mcp__docs__t1999",) * 20_000
    began = time.process_time()
    request = TurnRequest(HI, profile="agent", mcp_servers=("docs",), allowed_tools=rules)
    checking.grant(request, "sonnet", LOCAL)
    assert time.process_time() - began < 2
