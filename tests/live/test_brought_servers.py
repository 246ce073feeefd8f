"""MCP servers that callers bring: agents get their tools, and nobody else gets anything of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.mcp_servers import http_server, write_config

SECRET = "caller-secret-2d9e"
CEILINGS: dict[str, dict[str, Any]] = {
    "alice": {"mcp_hosts": ["*"]},
    "bob": {"mcp_hosts": ["*"]},
    "carol": {},
}
ADD = '[[tool mcp__mine__add {"a": 2, "b": 3}]] [[result]]'
FIVE = '{"result":5}'
SETTINGS = {
    "MCP_TIMEOUT": "20000",
    "MCP_CALLER_HOSTS": "*",
    "MCP_PRIVATE_HOSTS": "localhost",
    "POOL_SIZE_OTHER": "0",
    "LOG_LEVEL": "debug",
}


@pytest.fixture(scope="module")
def urls():
    """The URLs of a server over HTTP and over SSE."""
    with http_server() as http, http_server("sse") as sse:
        yield http.replace("127.0.0.1", "localhost"), sse.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory, urls):
    return KeyedGateway(_servers, tmp_path_factory.mktemp("brought"), CEILINGS, **SETTINGS)


@pytest.fixture
def keyed(_keyed, upstream):
    return _keyed


def mine(url, **fields):
    return {"name": "mine", "url": url, **fields}


def ask(keyed, name, text, *servers, **claude):
    options = {"profile": "agent", "mcp_servers": list(servers), **claude}
    status, body = keyed.ask(name, text, claude=options)
    return status, body["choices"][0]["message"]["content"] if status == 200 else body["error"]


def mcp_names(request):
    return {t["name"] for t in request.body["tools"] if t["name"].startswith("mcp__")}


def test_http(keyed, upstream, urls):
    got = ask(keyed, "alice", ADD, mine(urls[0], headers={"X-Key": SECRET}))
    print(keyed.server.log()[-6000:])
    assert got == (200, FIVE)
    print(mcp_names(upstream.requests[0]))
    _, text = ask(
        keyed,
        "alice",
        "[[tool mcp__mine__headers {}]] [[result]]",
        mine(urls[0], headers={"X-Key": SECRET}),
    )
    print(text)
    assert json.loads(text)["x-key"] == SECRET


def test_sse(keyed, urls):
    assert ask(keyed, "alice", ADD, mine(urls[1], type="sse")) == (200, FIVE)
