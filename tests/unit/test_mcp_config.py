"""MCP_CONFIG: what may stand in the file, and how it is read again."""

from __future__ import annotations

import json

import pytest

from wrapper.mcp_config import BROKEN, McpConfig, open_mcp_config
from wrapper.settings import Settings, SettingsError

SECRET = "secret-1a2b"
VARIABLES = {"TOKEN": SECRET, "EMPTY": "", "TWICE": "${TOKEN}"}


@pytest.fixture
def opened(tmp_path):
    """Return a function that writes the file and opens it."""

    def opened(servers, path=tmp_path / "mcp.json"):
        text = servers if isinstance(servers, str) else json.dumps({"mcpServers": servers})
        path.write_text(text)
        return McpConfig(str(path), VARIABLES)

    return opened


def mistakes_of(opened, servers):
    with pytest.raises(SettingsError) as caught:
        opened(servers)
    assert all(mistake.startswith("MCP_CONFIG: ") for mistake in caught.value.mistakes)
    assert SECRET not in str(caught.value)
    return caught.value.mistakes


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"command": "a"}, {"command": "a", "args": [], "type": "stdio"}),
        (
            {"type": "stdio", "command": "a", "args": ["${TOKEN}"], "env": {"A": "x-${TOKEN}"}},
            {"type": "stdio", "command": "a", "args": [SECRET], "env": {"A": f"x-{SECRET}"}},
        ),
        (
            {"type": "http", "url": "https://${HOST:-example.com}/${EMPTY:-x}mcp"},
            {"type": "http", "url": "https://example.com/mcp"},
        ),
        (
            {"type": "sse", "url": "http://a:1", "headers": {"X-Key": "${TOKEN}"}},
            {"type": "sse", "url": "http://a:1", "headers": {"X-Key": SECRET}},
        ),
        ({"type": "streamable-http", "url": "http://a"}, {"type": "http", "url": "http://a"}),
        ({"command": "a", "args": ["$HOME ${", "}"]}, None),
    ],
)
def test_right_servers(opened, written, read):
    """Each type is read, with variables and their defaults in every text."""
    config = opened({"docs": written}).servers()["docs"].config
    assert config == (read or {**written, "type": "stdio"})


@pytest.mark.parametrize(
    ("server", "where"),
    [
        ("no object", ""),
        ({}, ".command"),
        ({"command": ""}, ".command"),
        ({"command": 5}, ".command"),
        ({"command": "a", "args": "b"}, ".args"),
        ({"command": "a", "env": {"A": 1}}, ".env.A.value"),
        ({"command": "a", "comand": "b"}, ".comand"),
        ({"command": "${UNSET}"}, ""),
        ({"type": "ws", "url": "http://a"}, ".type"),
        ({"type": 5}, ".type"),
        ({"type": "http"}, ".url"),
        ({"type": "http", "url": "file:///etc/passwd"}, ".url"),
        ({"type": "http", "url": "http://"}, ".url"),
        ({"type": "http", "url": "http://a:99999"}, ".url"),
        ({"type": "http", "url": "http://a", "command": "b"}, ".command"),
        ({"type": "http", "url": "http://a", "headers": {"a b": "c"}}, ".headers"),
        ({"type": "http", "url": "http://a", "headers": {"a": "b\nc"}}, ".headers"),
        ({"type": "http", "url": "http://a", "headers": {"a": "${TWICE}"}}, ".headers"),
        ({"type": "http", "url": "http://a/${1}"}, ".url"),
    ],
)
def test_wrong_servers(opened, server, where):
    """A mistake names the server and the field, and never repeats a value."""
    (mistake, *_) = mistakes_of(opened, {"docs": server})
    assert f"mcpServers.'docs'{where}: " in mistake


@pytest.mark.parametrize("name", ["", "a__b", "_a", "a ", "client", "a\nb", "x" * 65])
def test_wrong_names(opened, name):
    """A name whose tools could be taken for others is refused."""
    assert len(mistakes_of(opened, {name: {"command": "a"}})) == 1


def test_names_of_tools_are_unique(opened):
    """Two servers whose tools would have the same names are refused."""
    (mistake,) = mistakes_of(opened, {"a.b": {"command": "a"}, "a b": {"command": "a"}})
    assert "as those of 'a.b'" in mistake


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"mcpServer": {}}', '{"mcpServers": []}', "[" * 99999]
)
def test_wrong_files(opened, text):
    """A file that is no such JSON is refused in one line."""
    assert len(mistakes_of(opened, text)) == 1


def test_all_mistakes_at_once(opened):
    """Every server's mistakes are reported together."""
    assert len(mistakes_of(opened, {"a": {}, "b": {"type": "x"}, "c": {"command": "d"}})) == 2


def test_missing_file(tmp_path):
    """A missing file is an error that names the path; without the setting there is no file."""
    with pytest.raises(SettingsError, match=r"MCP_CONFIG: .*none\.json does not exist"):
        open_mcp_config(Settings(mcp_config=str(tmp_path / "none.json")))
    assert open_mcp_config(Settings()) is None


def test_read_again(opened):
    """A changed file counts at once; a broken one leaves the servers and is reported."""
    config = opened({"a": {"command": "x"}})
    assert list(config.servers()) == ["a"]
    opened({"b": {"command": "x"}, "c": {"command": "x"}})
    assert (list(config.servers()), config.error) == (["b", "c"], None)
    with pytest.raises(SettingsError):
        opened("{")
    assert (list(config.servers()), config.error) == (["b", "c"], BROKEN)
