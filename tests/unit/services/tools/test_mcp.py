"""MCP servers: the names of their tools, the rules for them, and their secrets."""

import pytest

from wrapper.services.tools.mcp import McpRule, McpServer, forbid, narrow, read_rule

SERVER = McpServer("a b.c", {"type": "stdio", "command": "x"})


def test_names():
    """Names are as Claude Code writes them."""
    assert SERVER.rule == "mcp__a_b_c"
    assert SERVER.tool_name("get.it now") == "mcp__a_b_c__get_it_now"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("mcp__docs", McpRule("docs")),
        ("mcp__docs__*", McpRule("docs")),
        ("mcp__docs__add", McpRule("docs", "add")),
        ("mcp__docs__a__b", McpRule("docs", "a__b")),
        ("mcp__*", None),
        ("mcp__", None),
        ("mcp__docs__add(x)", None),
        ("mcp__docs__a*", None),
        ("Bash", None),
    ],
)
def test_rules(text, rule):
    """A rule names a server, or one of its tools; a pattern that has no effect is no rule."""
    assert read_rule(text) == rule


@pytest.mark.parametrize(
    ("rules", "tools"),
    [
        ((), None),
        (("Bash", "mcp__other__x"), None),
        (("mcp__a_b_c",), None),
        (("mcp__a_b_c__x", "mcp__a_b_c__*"), None),
        (("mcp__a_b_c__x", "mcp__a_b_c__y", "mcp__a_b_c__x"), ("x", "y")),
    ],
)
def test_narrow(rules, tools):
    """Only rules that name tools of the server narrow it."""
    assert narrow(SERVER, rules).tools == tools


def test_narrowing_never_widens():
    """A further list cannot add tools that an earlier one left out."""
    server = narrow(SERVER, ["mcp__a_b_c__x"])
    assert narrow(server, ["mcp__a_b_c__x", "mcp__a_b_c__y"]).tools == ("x",)
    assert narrow(server, ["mcp__a_b_c"]).tools == ("x",)
    nothing = narrow(server, ["mcp__a_b_c__y"])
    assert (nothing.tools, nothing.rules, nothing.permits("y")) == ((), (), False)


def test_forbid():
    """Rules that deny take away the tools that they name, or all."""
    server = forbid(SERVER, ["Bash", "mcp__a_b_c__x", "mcp__other"])
    assert [tool for tool in ("x", "y") if server.permits(tool)] == ["y"]
    nothing = forbid(SERVER, ["mcp__a_b_c"])
    assert (nothing.rules, nothing.permits("y")) == ((), False)


def test_secrets():
    """A server shows its configuration neither as a text nor in errors."""
    config = {
        "type": "http",
        "url": "http://host/?key=k1k1",
        "headers": {"A": "Bearer t2t2"},
        "env": {"B": "v3v3"},
        "args": ["a4a4"],
    }
    server = McpServer("docs", config)
    assert "k1k1" not in repr(server)
    text = server.without_secrets("http://host/?key=k1k1 Bearer t2t2 v3v3 a4a4 failed")
    assert text == "******** ******** ******** ******** failed"
