"""The servers of a request: names, and objects that bring one."""

from __future__ import annotations

import pytest

from wrapper.errors import InvalidRequest
from wrapper.schemas.base import load_data
from wrapper.schemas.chat.claude_options import ClaudeSchema, claude_fields
from wrapper.schemas.mcp_config import MOST_SERVERS
from wrapper.schemas.mcp_servers import MOST_BROUGHT, MOST_HEADERS
from wrapper.services.tools.mcp import McpServer

SECRET = "secret-8f1c"
URL = "https://mcp.example.com/mcp"


def load(*servers):
    fields = claude_fields(load_data(ClaudeSchema(), {"mcp_servers": [*servers]}))
    return fields["mcp_servers"], fields["brought_servers"]


def brought(**fields):
    return {"name": "mine", "url": URL, **fields}


def test_names_and_objects():
    """Names come in the request's order; an object loads to a server with its path."""
    names, servers = load("docs", brought(headers={"X-Key": SECRET}, allowed_tools=["a b"]), "dev")
    assert names == ("docs", "mine", "dev")
    config = {"type": "http", "url": URL, "headers": {"X-Key": SECRET}}
    assert servers == (McpServer("mine", config, ("a_b",), brought="claude.mcp_servers.1"),)
    assert SECRET not in repr(servers)


def test_none():
    """No list is not the same as an empty one."""
    assert claude_fields({})["mcp_servers"] is None
    assert load() == ((), ())


@pytest.mark.parametrize("kind", ["http", "sse", "streamable-http"])
def test_types(kind):
    """A server is reached over http, under each of its names, or over sse."""
    _, (server,) = load(brought(type=kind))
    assert server.kind == ("sse" if kind == "sse" else "http")


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "https://a.example:8443/mcp?key=1%20b",
        "http://[2606:4700::1]:80/",
        "http://a/x@y:z",
    ],
)
def test_urls(url):
    """A URL of http or https is taken as it is."""
    _, (server,) = load(brought(url=url))
    assert server.config["url"] == url


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        *(
            ({"url": url}, "url")
            for url in (
                *("", "mcp.example.com", "ftp://a/", "file:///etc/passwd", "http://", "http:///x"),
                *("http://user@a/", "http://user:pw@a/", "http://a\\@b/", "http://a b/"),
                *("http://a/#f", "http://a:0/", "http://a:port/", "http://bücher.example/"),
                *("http://a/\n", "http://[::1/", "http://a%2eb/", f"http://a/{'x' * 3000}"),
            )
        ),
        ({"type": "stdio"}, "type"),
        ({"command": "/bin/sh"}, "command"),
        ({"name": ""}, ""),
        ({"name": "a__b"}, ""),
        ({"name": "client"}, ""),
        ({"headers": {"X Key": "a"}}, "headers"),
        ({"headers": {"X-Key": "a\nb"}}, "headers"),
        ({"headers": {"X-Key": "ü"}}, "headers"),
        ({"headers": {"Host": "other"}}, "headers"),
        ({"headers": {"transfer-encoding": "chunked"}}, "headers"),
        ({"headers": {"Proxy-Authorization": "a"}}, "headers"),
        ({"headers": {f"X-{n}": "a" for n in range(MOST_HEADERS + 1)}}, "headers"),
        ({"allowed_tools": "add"}, "allowed_tools"),
    ],
)
def test_refused(fields, param):
    """A server that cannot be right is a 400 that names the field, and no value."""
    with pytest.raises(InvalidRequest) as caught:
        load("docs", brought(**{"headers": {"X-Key": SECRET}, **fields}))
    path = f"claude.mcp_servers.1.{param}" if param else "claude.mcp_servers.1"
    assert f"claude.{caught.value.param}" == path
    assert SECRET not in caught.value.message


@pytest.mark.parametrize(
    "servers",
    [
        [brought(), brought()],
        ["a b", brought(name="a_b")],
        [brought(name=f"s{number}") for number in range(MOST_BROUGHT + 1)],
        [5],
    ],
)
def test_refused_together(servers):
    """Two servers cannot share the names of their tools, nor may there be too many."""
    with pytest.raises(InvalidRequest):
        load(*servers)


def test_many_names():
    """A request may name 100 servers."""
    assert len(load(*["docs"] * MOST_SERVERS)[0]) == MOST_SERVERS
    with pytest.raises(InvalidRequest) as caught:
        load(*["docs"] * (MOST_SERVERS + 1))
    assert caught.value.param == "mcp_servers"
