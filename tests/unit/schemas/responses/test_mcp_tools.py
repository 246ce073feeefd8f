"""The tool type mcp of the Responses API: a server that the request brings."""

from __future__ import annotations

import json
import time

import pytest

from tests.unit.schemas.responses.test_response_tools import FUNCTION
from wrapper.errors import InvalidRequest
from wrapper.schemas.base import load_data
from wrapper.schemas.mcp_config import MOST_SERVERS
from wrapper.schemas.responses.request import RESPONSE_REQUEST
from wrapper.services.tools.mcp import McpServer, NamedServer

SECRET = "secret-3d7e"
URL = f"https://mcp.example.com/{SECRET}/mcp?key={SECRET}"


def mcp(**fields):
    shared = {"type": "mcp", "server_label": "mine", "server_url": URL}
    given = {**shared, "require_approval": "never", **fields}
    return {name: value for name, value in given.items() if value is not ...}


def load(*tools, **more):
    return load_data(
        RESPONSE_REQUEST, {"model": "sonnet", "input": "hi", "tools": [*tools], **more}
    )


def servers_of(*tools, **more):
    return load(*tools, **more).request.brought_servers


def test_a_server():
    """It loads to a server with its path, for an agent that gets no other one."""
    request = load(FUNCTION, mcp(headers={"X-Key": SECRET})).request
    config = {"type": "http", "url": URL, "headers": {"X-Key": SECRET}}
    assert request.brought_servers == (McpServer("mine", config, brought="tools.1"),)
    assert (request.profile, request.mcp_servers) == ("agent", ("mine",))
    assert [function.name for function in request.functions] == [FUNCTION["name"]]


def test_beside_other_servers():
    """It comes after those that claude.mcp_servers names or brings, and keeps the profile."""
    other = {"name": "other", "url": "http://b"}
    claude = {"mcp_servers": ["docs", other], "profile": "plain"}
    request = load(mcp(), claude=claude).request
    assert request.mcp_servers == ("docs", "other", "mine")
    assert [server.brought for server in request.brought_servers] == [
        "claude.mcp_servers.1",
        "tools.0",
    ]
    assert request.profile == "plain"


@pytest.mark.parametrize(
    ("require_approval", "unasked"),
    [
        (..., ()),
        (None, ()),
        ("always", ()),
        ("never", None),
        ({}, ()),
        ({"never": {"tool_names": ["a", "b c"]}}, ("a", "b_c")),
        ({"always": {"tool_names": ["a"]}}, ()),
        ({"always": {"tool_names": ["a"]}, "never": {"tool_names": ["a", "b"]}}, ("b",)),
    ],
)
def test_require_approval(require_approval, unasked):
    """All tools need approval but those that never do; without the field all do."""
    (server,) = servers_of(mcp(require_approval=require_approval))
    assert server.unasked == unasked
    named = load(mcp(require_approval=require_approval, server_url=...)).request
    assert (named.mcp_servers, named.brought_servers) == (("mine",), ())
    assert named.named_servers == {"mine": NamedServer("tools.0", unasked)}
    assert named.profile == "agent"


def test_no_calls():
    """With tool_choice none, there is no server whose tools could be called."""
    request = load(mcp(), tool_choice="none").request
    assert (request.mcp_servers, request.brought_servers) == (None, ())


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://a/mcp", "http"),
        ("https://a/sse", "sse"),
        ("https://a/x/sse/?a=b", "sse"),
        ("https://a/?x=/sse", "http"),
    ],
)
def test_transport(url, kind):
    """A URL that ends in /sse is that of a server over SSE."""
    (server,) = servers_of(mcp(server_url=url))
    assert server.kind == kind


@pytest.mark.parametrize(
    ("allowed", "tools"),
    [
        (None, None),
        ([], ()),
        (["a", "b c"], ("a", "b_c")),
        ({"tool_names": ["a"]}, ("a",)),
        ({}, None),
    ],
)
def test_allowed_tools(allowed, tools):
    """allowed_tools is a list or a filter, and null allows all."""
    (server,) = servers_of(mcp(allowed_tools=allowed))
    assert server.tools == tools


def test_authorization():
    """A token is sent as a bearer's."""
    (server,) = servers_of(mcp(authorization=SECRET))
    assert server.config["headers"] == {"Authorization": f"Bearer {SECRET}"}


def test_what_is_repeated():
    """The response repeats the tool without its secrets; what has no effect is named."""
    loaded = load(mcp(authorization=SECRET, headers={"A": SECRET}, server_description="Mine."))
    (kept,) = loaded.repeated["tools"]
    assert kept["server_url"] == "https://mcp.example.com/<redacted>"
    assert (kept["headers"], kept["require_approval"]) == (None, "never")
    assert SECRET not in json.dumps(loaded.repeated)
    assert SECRET not in repr(loaded.request)
    assert loaded.request.idle == ("tools.0.server_description",)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"server_url": ..., "headers": {"A": "b"}}, ".headers"),
        ({"server_url": ..., "authorization": "b"}, ".authorization"),
        ({"server_url": ..., "allowed_tools": ["a"]}, ".allowed_tools"),
        ({"server_url": ..., "server_label": 5}, ".server_label"),
        ({"server_url": "stdio:///bin/sh"}, ".server_url"),
        ({"server_url": 5}, ".server_url"),
        ({"server_label": ...}, ".server_label"),
        ({"server_label": "a__b"}, ""),
        ({"connector_id": "connector_gmail"}, ".connector_id"),
        ({"tunnel_id": "t"}, ".tunnel_id"),
        ({"require_approval": "sometimes"}, ".require_approval"),
        ({"require_approval": {"often": {}}}, ".require_approval"),
        ({"require_approval": {"never": 5}}, ".require_approval.never.tool_names"),
        ({"require_approval": {"never": {}}}, ".require_approval.never.tool_names"),
        (
            {"require_approval": {"always": {"tool_names": [5]}}},
            ".require_approval.always.tool_names",
        ),
        ({"require_approval": {"never": {"read_only": True}}}, ".require_approval.never.read_only"),
        ({"headers": ["a"]}, ".headers"),
        ({"headers": {"Host": "a"}}, ".headers"),
        ({"authorization": 5}, ".authorization"),
        ({"authorization": "a", "headers": {"authorization": "b"}}, ".authorization"),
        ({"allowed_tools": "a"}, ".allowed_tools"),
        ({"allowed_tools": {"read_only": True}}, ".allowed_tools.read_only"),
        ({"allowed_tools": {"tool_names": 5}}, ".allowed_tools"),
    ],
)
def test_refused(fields, path):
    """What cannot be honoured is a 400 that names the field, and no value."""
    with pytest.raises(InvalidRequest) as caught:
        load(FUNCTION, mcp(**fields))
    assert caught.value.param == f"tools.1{path}"
    assert SECRET not in caught.value.message


def test_two_with_one_name():
    """Two servers cannot have one label, also where claude.mcp_servers has the other."""
    for tools, more in (((mcp(), mcp()), {}), ((mcp(),), {"claude": {"mcp_servers": ["mine"]}})):
        with pytest.raises(InvalidRequest) as caught:
            load(*tools, **more)
        assert caught.value.param == f"tools.{len(tools) - 1}"


def test_many_servers():
    """A request may name 100 servers."""
    tools = [mcp(server_label=f"s{n}", server_url=...) for n in range(MOST_SERVERS + 1)]
    assert len(load(*tools[:MOST_SERVERS]).request.mcp_servers) == MOST_SERVERS
    with pytest.raises(InvalidRequest) as caught:
        load(*tools)
    assert str(caught.value.param).startswith(f"tools.{MOST_SERVERS}")


@pytest.mark.parametrize("more", [{}, {"server_url": ...}])
def test_many_servers_of_both_kinds(more):
    """Servers that a request brings count among the 100 that it may name, and none comes after."""
    tools = [mcp(server_label="brought"), mcp(server_label="one-more", **more)]
    names = {"mcp_servers": ["docs"] * (MOST_SERVERS - 1)}
    with pytest.raises(InvalidRequest, match=f"may name {MOST_SERVERS} servers"):
        load(*tools, claude=names)
    load(tools[0], claude=names)


def test_many_names_of_tools():
    """The time for lists of tools does not grow with the square of their length."""
    names = {"tool_names": [f"t{n}" for n in range(40_000)]}
    began = time.process_time()
    (server,) = servers_of(mcp(require_approval={"always": names, "never": names}))
    assert server.unasked == ()
    assert time.process_time() - began < 5
