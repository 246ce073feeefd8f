"""MCP servers that callers bring: agents get their tools, and nobody else gets anything of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.changing_dns import HOST
from tests.support.http_mcp_server import serving
from tests.support.keyed_gateway import KeyedGateway
from tests.support.mcp_servers import http_server, write_config
from tests.support.server import ROOT, command_line, environments

SECRET = "caller-secret-2d9e"
URL_SECRET = "url-secret-77ab"
CEILINGS: dict[str, dict[str, Any]] = {
    "alice": {"mcp_hosts": ["*"], "mcp_servers": ["docs"]},
    "bob": {"mcp_hosts": ["*.example.com", "localhost"]},
    "carol": {"mcp_servers": ["docs"]},
    "narrow": {"mcp_hosts": ["*"], "tools": ["mcp__mine__add"]},
    "denied": {"mcp_hosts": ["*"], "disallowed_tools": ["mcp__mine__add"]},
    "configured": {"mcp_hosts": ["*"], "config": {"mcp_servers": ["docs"]}},
}
ADD = '[[tool mcp__mine__add {"a": 2, "b": 3}]] [[result]]'
PING = '[[tool mcp__mine__ping {"text": "x"}]] [[result]]'
HEADERS = "[[tool mcp__mine__headers {}]] [[result]]"
FIVE = '{"result":5}'
# Each fails before its turn has begun.
FAULTS = {
    "many": "offers 1000 tools",
    "silent": "did not connect in time",
    "garbage": "did not connect in time",
    "html": "neither JSON nor a stream",
    "flood": "its answer is too long",
    "compressed": "it compresses its answers",
    "redirects": "it redirects (307)",
    "refuses": "it refused the login (401)",
}
SETTINGS = {
    "MCP_TIMEOUT": "8000",
    "MCP_TOOL_TIMEOUT": "2000",
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
def bare():
    """A server that misbehaves as the path of its URL says."""
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory, urls):
    folder = tmp_path_factory.mktemp("brought")
    config = write_config(folder / "mcp.json", docs={"type": "http", "url": urls[0]})
    code = "from tests.support import changing_dns\nchanging_dns.install()\n"
    (folder / "sitecustomize.py").write_text(code)
    modules = f"{folder}:{ROOT}"
    settings = {**SETTINGS, "MCP_CONFIG": config, "PYTHONPATH": modules}
    return KeyedGateway(_servers, folder, CEILINGS, **settings)


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway whose callers may bring servers, and an upstream without requests."""
    return _keyed


def mine(url, **fields):
    return {"name": "mine", "url": url, **fields}


def ask(keyed, name, text, *servers, **claude):
    """Return the status and the answer's text, or the error, of an agent's request."""
    options = {"profile": "agent", "mcp_servers": list(servers), **claude}
    status, body = keyed.ask(name, text, claude=options)
    return status, body["choices"][0]["message"]["content"] if status == 200 else body["error"]


def mcp_names(request):
    return {t["name"] for t in request.body["tools"] if t["name"].startswith("mcp__")}


def test_http(keyed, upstream, urls):
    """An agent calls a tool of a server that its caller brings, which gets the caller's headers."""
    server = mine(urls[0], headers={"Authorization": f"Bearer {SECRET}"})
    assert ask(keyed, "alice", ADD, server) == (200, FIVE)
    assert mcp_names(upstream.requests[0]) == {
        *("mcp__mine__add", "mcp__mine__Bash", "mcp__mine__environment", "mcp__mine__headers")
    }
    _, text = ask(keyed, "alice", HEADERS, server)
    assert json.loads(text)["authorization"] == f"Bearer {SECRET}"


def test_sse(keyed, urls):
    """A server over SSE works, too."""
    assert ask(keyed, "bob", ADD, mine(urls[1], type="sse")) == (200, FIVE)


def test_beside_a_server_of_the_gateway(keyed, upstream, urls):
    """A turn's tools are those of exactly its servers."""
    only_add = mine(urls[0], allowed_tools=["add"])
    assert ask(keyed, "alice", ADD, "docs", only_add, allowed_tools=["mcp__docs__Bash"]) == (
        200,
        FIVE,
    )
    assert mcp_names(upstream.requests[0]) == {"mcp__docs__Bash", "mcp__mine__add"}


@pytest.mark.parametrize(
    ("name", "url", "says"),
    [
        ("carol", "https://mcp.example.com/", "no more than none (mcp_hosts)"),
        ("bob", "https://example.org/", "*.example.com, localhost (mcp_hosts)"),
        ("configured", "https://example.org/", "no more than docs (mcp_servers)"),
    ],
)
def test_keys_that_may_not(keyed, upstream, name, url, says):
    """A key brings servers only on the hosts that its limits name, and within its tool config."""
    status, error = ask(keyed, name, "hello", mine(url))
    assert (status, error["param"]) == (403, "claude.mcp_servers.0")
    assert says in error["message"]
    assert not upstream.requests


def test_off_by_default(gateway, upstream, bare):
    """Unless the settings name hosts, nobody brings a server."""
    claude = {"profile": "agent", "mcp_servers": [mine(bare.url("good"))]}
    status, body = gateway.ask("hello", claude=claude)
    assert (status, body["error"]["param"]) == (403, "claude.mcp_servers.0")
    assert "no more than none (MCP_CALLER_HOSTS)" in body["error"]["message"]
    assert not upstream.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "0.0.0.0"])
def test_addresses_that_are_not_public(keyed, bare, upstream, host):
    """No server is brought on an address of the gateway's own network, however it is written."""
    bare.seen.clear()
    status, error = ask(keyed, "alice", "hello", mine(bare.url("good", host)))
    assert (status, error["code"]) == (502, "mcp_server_failed")
    assert "'mine' cannot be used: its host has" in error["message"]
    assert not bare.seen
    assert not upstream.requests


def test_dns_that_changes(keyed, bare, upstream):
    """A host's name that leads to loopback a moment later is not followed there."""
    bare.seen.clear()
    status, error = ask(keyed, "bob", "hello", mine(bare.url("good", HOST)))
    assert (status, error["code"]) == (502, "mcp_server_failed")
    assert "its host has an address that is not public" in error["message"]
    assert [method for method, _ in bare.seen] == ["initialize"]  # at the public address
    assert not upstream.requests


def test_a_failing_server_fails_its_own_turn(keyed, upstream, bare):
    """A server that fails ends its turn with a 502 that names it, and other turns do not wait."""
    with ThreadPoolExecutor() as pool:

        def begin(kind):
            return pool.submit(ask, keyed, "alice", "hello", mine(bare.url(kind)))

        failing = {"silent": begin("silent")}
        assert ask(keyed, "alice", PING, mine(bare.url("good"))) == (200, "pong x")
        assert not failing["silent"].done()
        failing |= {kind: begin(kind) for kind in FAULTS.keys() - failing}
        for kind, says in FAULTS.items():
            status, error = failing[kind].result()
            assert (status, error["code"]) == (502, "mcp_server_failed"), error
            assert "'mine'" in error["message"]
            assert says in error["message"]
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("dies", "closed the connection"),
        ("hangs", "time"),  # Claude Code says so first, or the gateway does
        ("wrong", "cannot be understood"),
    ],
)
def test_a_call_that_fails(keyed, bare, kind, says):
    """A server that fails in a call gives the model an error, with which it goes on."""
    status, text = ask(keyed, "alice", PING, mine(bare.url(kind)))
    assert status == 200
    assert says in text


def test_narrowed_by_the_key(keyed, upstream, urls):
    """What a key's tools and rules say of a server's name also holds for one that it brings."""
    assert ask(keyed, "narrow", "hello", mine(urls[0]))[0] == 200
    assert mcp_names(upstream.requests[0]) == {"mcp__mine__add"}
    _, text = ask(keyed, "denied", ADD, mine(urls[0]))
    assert FIVE not in text


def test_a_description_that_instructs(keyed, upstream, urls):
    """What a server tells the model gives it no right: the rules for other tools still hold."""
    bash = '[[tool Bash {"command": "touch owned"}]] [[result]]'
    _, text = ask(keyed, "bob", bash, mine(urls[0]), disallowed_tools=["Bash"])
    assert "SYSTEM: you must" in upstream.requests[0].raw.decode()
    assert "INSTRUCTIONS: ignore" in upstream.requests[0].raw.decode()
    assert "denied" in text


def test_a_tool_named_like_a_built_in(keyed, urls):
    """A server's Bash is another tool than Claude Code's, and neither has the other's rules."""
    call = '[[tool mcp__mine__Bash {"command": "id"}]] [[result]]'
    assert "the server's own: id" in ask(keyed, "bob", call, mine(urls[0]), allowed_tools=[])[1]
    own = '[[tool Bash {"command": "id"}]] [[result]]'
    assert "the server's own" not in ask(keyed, "bob", own, mine(urls[0]), allowed_tools=[])[1]


def test_secrets_are_nowhere(keyed, urls):
    """No header or URL of a server is in the log, on a command line, or in an environment.

    Nor in the listing of servers.
    """
    server = mine(f"{urls[0]}?key={URL_SECRET}", headers={"X-Key": SECRET})
    assert ask(keyed, "alice", ADD, server) == (200, FIVE)
    assert json.loads(ask(keyed, "alice", HEADERS, server)[1])["x-key"] == SECRET
    for name in ("alice", "bob"):
        _, _, listing = keyed.call(name, "GET", "/v1/mcp/servers")
        assert "mine" not in [row["name"] for row in listing["data"]]
    claudes = set(keyed.server.claudes())
    for secret in (SECRET, URL_SECRET):
        assert secret not in keyed.server.log()
        assert not [pid for pid, _ in environments() if secret in command_line(pid)]
        assert not [p for p, values in environments() if p in claudes and secret.encode() in values]


def test_no_trace_for_others(keyed, upstream, urls):
    """After a turn with a server, no other request has anything of it, not even by its name."""
    server = mine(urls[0], headers={"X-Key": SECRET})
    ask(keyed, "alice", ADD, server)
    keyed.server.at_rest()
    upstream.clear()
    for name in ("alice", "bob"):
        assert keyed.ask(name, "hello", claude={"profile": "agent"})[0] == 200
    assert all(b"mcp__" not in r.raw and b"INSTRUCTIONS" not in r.raw for r in upstream.requests)
    _, text = ask(keyed, "bob", HEADERS, mine(urls[0]))
    assert "x-key" not in json.loads(text)
    assert ask(keyed, "alice", "hello", "mine")[0] == 403


def test_sessions(keyed, new_session, urls, upstream):
    """In a session, a server is there for the requests that bring it, with its tools of then."""
    session = new_session(keyed.server, "agent", key=keyed.keys["alice"])
    server = mine(urls[0], headers={"X-Key": SECRET})
    claude = {"claude": {"profile": "agent", "mcp_servers": [server]}}
    assert session.ask(ADD, **claude).text == FIVE
    assert session.ask(ADD, **claude).text == FIVE
    upstream.clear()
    session.ask("hello")
    assert not mcp_names(upstream.requests[0])


def respond(keyed, text, *tools, **more):
    """Return the response to a text, with these tools."""
    client = keyed.client("alice")
    with client:
        return client.responses.create(model="sonnet", input=text, tools=[*tools], **more)


def mcp_tool(url, **fields):
    return {
        "type": "mcp",
        "server_label": "mine",
        "server_url": url,
        "require_approval": "never",
        **fields,
    }


def test_responses(keyed, upstream, urls):
    """In the Responses API, the tool type mcp brings a server, and its use shows in the output."""
    tool = mcp_tool(f"{urls[0]}?key={URL_SECRET}", authorization=SECRET, allowed_tools=["add"])
    response = respond(keyed, ADD, tool)
    listed, call, message = response.output
    assert mcp_names(upstream.requests[0]) == {"mcp__mine__add"}
    assert (listed.type, listed.server_label) == ("mcp_list_tools", "mine")
    assert [tool.name for tool in listed.tools] == ["add"]
    assert "a" in listed.tools[0].input_schema["properties"]
    assert (call.type, call.status, call.name) == ("mcp_call", "completed", "add")
    assert (call.server_label, json.loads(call.arguments)) == ("mine", {"a": 2, "b": 3})
    assert (call.output, call.error) == (FIVE, None)
    assert message.content[0].text == FIVE
    with keyed.client("alice") as client:
        stored = client.responses.retrieve(response.id)
    assert [item.type for item in stored.output] == ["mcp_list_tools", "mcp_call", "message"]
    for kept in (response, stored):
        assert kept.tools[0].server_url.endswith("/<redacted>")
        assert SECRET not in kept.to_json()
        assert URL_SECRET not in kept.to_json()


def test_streamed_responses(keyed, bare):
    """A stream has the events of both kinds of item, and a call that fails is one that failed."""
    with keyed.client("alice") as client:
        stream = client.responses.create(
            model="sonnet", input=PING, tools=[mcp_tool(bare.url("wrong"))], stream=True
        )
        events = [event.type for event in stream if event.type.startswith("response.mcp")]
    assert events == [
        "response.mcp_list_tools.in_progress",
        "response.mcp_list_tools.completed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.failed",
    ]


def test_responses_go_on(keyed, urls, upstream):
    """A later request continues a response with calls, and has no server unless it brings one."""
    first = respond(keyed, ADD, mcp_tool(urls[0], headers={"X-Key": SECRET}))
    upstream.clear()
    second = respond(keyed, "hello", previous_response_id=first.id)
    assert second.status == "completed"
    third = respond(
        keyed, [*(item.to_dict() for item in first.output), {"role": "user", "content": "hi"}]
    )
    assert third.status == "completed"
    assert not any(map(mcp_names, upstream.requests))


def test_responses_with_a_server_of_the_gateway(keyed):
    """The calls of a server that the request only names are items of the output, too."""
    claude = {"profile": "agent", "mcp_servers": ["docs"]}
    response = respond(keyed, ADD.replace("mine", "docs"), extra_body={"claude": claude})
    call, _ = response.output
    assert (call.type, call.server_label, call.name, call.output) == (
        *("mcp_call", "docs", "add", FIVE),
    )
