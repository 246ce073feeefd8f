"""MCP servers: agents get their tools, and nobody else gets anything of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.mcp_servers import bare, http_server, packaged, write_config
from tests.support.server import command_line, environments, eventually

SECRET = "header-secret-7f3a"
STDIO_SECRET = "variable-secret-9c1b"
FAULTS = ("many", "silent", "garbage", "flood", "exits", "crashes", "hangs")
CEILINGS: dict[str, dict[str, Any]] = {
    "alice": {"mcp_servers": ["*"]},
    "bob": {"mcp_servers": ["docs"]},
    "carol": {},
    "narrow": {"mcp_servers": ["docs"], "tools": ["Bash", "mcp__docs__add"]},
    "counted": {"mcp_servers": ["docs"]},
    "denied": {"mcp_servers": ["docs"], "disallowed_tools": ["mcp__docs__add"]},
    "plain": {"mcp_servers": ["*"], "profile": "plain"},
    "planner": {"mcp_servers": ["docs"], "permission_mode": "plan"},
}
ADD = '[[tool mcp__docs__add {"a": 2, "b": 3}]] [[result]]'
FIVE = '{"result":5}'
ENVIRONMENT = "[[tool mcp__local__environment {}]] [[result]]"
SETTINGS = {
    "MCP_TIMEOUT": "60000",
    "POOL_SIZE_OTHER": "0",
    "LOG_LEVEL": "debug",
    "LOG_PROMPTS": "true",
    "DOCS_TOKEN": SECRET,
    "LOCAL_SECRET": STDIO_SECRET,
}


@pytest.fixture(scope="module")
def urls():
    """The URLs of a server over HTTP and over SSE."""
    with http_server() as http, http_server("sse") as sse:
        yield http, sse


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory, urls):
    url, sse = urls
    folder = tmp_path_factory.mktemp("mcp")
    docs = {"type": "http", "url": f"{url}?key={SECRET}"}
    config = write_config(
        folder / "mcp.json",
        docs={**docs, "headers": {"Authorization": "Bearer ${DOCS_TOKEN}"}},
        local=packaged(SECRET="${LOCAL_SECRET}", OTHER="${UNSET_VARIABLE:-default}"),
        **{"a b.c": bare("remembers"), "events": {"type": "sse", "url": sse}},
    )
    return KeyedGateway(_servers, folder, CEILINGS, MCP_CONFIG=config, **SETTINGS)


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway with MCP servers, and an upstream without requests."""
    return _keyed


def ask(keyed, name, text, *servers, **claude):
    """Return the status and the answer's text, or the error, of an agent's request."""
    options = {"profile": "agent", "mcp_servers": list(servers), **claude}
    status, body = keyed.ask(name, text, claude=options)
    return status, body["choices"][0]["message"]["content"] if status == 200 else body["error"]


def names(request):
    return {tool["name"] for tool in request.body["tools"]}


def mcp_names(request):
    return {name for name in names(request) if name.startswith("mcp__")}


def test_http(keyed, upstream):
    """An agent calls a tool of a server over HTTP, which gets the headers of the configuration."""
    assert ask(keyed, "bob", ADD, "docs") == (200, FIVE)
    assert mcp_names(upstream.requests[0]) == {
        *("mcp__docs__add", "mcp__docs__Bash", "mcp__docs__environment", "mcp__docs__headers")
    }
    assert not [name for name in names(upstream.requests[0]) if "McpResource" in name]
    _, text = ask(keyed, "bob", "[[tool mcp__docs__headers {}]] [[result]]", "docs")
    assert json.loads(text)["authorization"] == f"Bearer {SECRET}"


def test_stats(keyed):
    """The uses of a server's tools are counted by their names, for the key that used them."""
    assert ask(keyed, "counted", ADD, "docs") == (200, FIVE)
    (line,) = keyed.call("counted", "GET", "/v1/tools/stats")[2]["data"]
    assert (line["key"], line["tool"], line["uses"]) == ("counted", "mcp__docs__add", 1)
    assert (line["failures"], line["denials"]) == (0, 0)


def listed(keyed, name, query=""):
    """Return the tools of MCP servers in a caller's listing by name."""
    status, _, body = keyed.call(name, "GET", f"/v1/tools{query}")
    assert (status, body["unlisted"]) == (200, []), body
    return {tool["name"]: tool for tool in body["data"] if tool["origin"] != "claude_code"}


def test_listed_tools(keyed, upstream):
    """The tools of servers are listed as the model gets them, for those who may use them."""
    tools = listed(keyed, "bob")
    assert not upstream.requests
    assert {tool["origin"] for tool in tools.values()} == {"mcp:docs"}
    ask(keyed, "bob", "hello", "docs")
    got = {tool["name"]: tool for tool in upstream.requests[0].body["tools"]}
    assert mcp_names(upstream.requests[0]) == set(tools)
    for name, tool in tools.items():
        assert tool["description"] == got[name]["description"]
        assert tool["input_schema"] == got[name]["input_schema"]
        assert (tool["access"], tool["rule"]["name"]) == ("allowed", "mcp_servers")
    assert listed(keyed, "carol") == {}
    assert {tool["access"] for tool in listed(keyed, "plain").values()} == {"denied"}
    origins = {tool["origin"] for tool in listed(keyed, "alice").values()}
    assert origins == {"mcp:docs", "mcp:local", "mcp:a b.c", "mcp:events"}


def test_listed_access(keyed):
    """The listing names the rule that denies a tool, and such a tool does not run."""
    access = {name: tool["access"] for name, tool in listed(keyed, "narrow").items()}
    assert access.pop("mcp__docs__add") == "allowed"
    assert set(access.values()) == {"denied"}
    rule = {"source": "key", "name": "disallowed_tools"}
    assert listed(keyed, "denied")["mcp__docs__add"]["rule"] == rule
    assert ask(keyed, "denied", ADD, "docs")[1] != FIVE
    rule = {"source": "key", "name": "permission_mode"}
    assert listed(keyed, "planner")["mcp__docs__add"]["rule"] == rule
    assert ask(keyed, "planner", ADD, "docs")[1] != FIVE


@pytest.mark.parametrize("param", ["allowed_tools", "disallowed_tools"])
def test_tools_that_do_not_exist(keyed, upstream, param):
    """A rule for a tool that its server does not have is a 400 that names the entry."""
    assert listed(keyed, "bob")
    rules = {param: ["mcp__docs__add", "mcp__docs__delete"]}
    status, error = ask(keyed, "bob", "hello", "docs", **rules)
    assert (status, error["param"]) == (400, f"claude.{param}.1")
    assert "'docs' has no tool 'delete'" in error["message"]
    assert not upstream.requests


def test_sse(keyed):
    """An agent calls a tool of a server over SSE."""
    assert ask(keyed, "alice", ADD.replace("docs", "events"), "events") == (200, FIVE)


def test_stdio(keyed):
    """A server that is a program gets the variables of its configuration, and no other secret."""
    status, text = ask(keyed, "alice", ENVIRONMENT, "local")
    assert status == 200
    variables = json.loads(text)
    assert (variables["SECRET"], variables["OTHER"]) == (STDIO_SECRET, "default")
    assert not [name for name in variables if name.startswith(("ANTHROPIC", "DOCS", "MCP"))]


def test_names_are_normalised(keyed):
    """The tools of a server whose name has other characters work, with Claude Code's names."""
    call = '[[tool mcp__a_b_c__ping {"text": "one"}]] [[result]]'
    assert ask(keyed, "alice", call, "a b.c") == (200, "one")


def test_none_by_default(keyed, upstream):
    """A request that names no server gets no tool of any."""
    assert keyed.ask("alice", "hello", claude={"profile": "agent"})[0] == 200
    assert not mcp_names(upstream.requests[0])


@pytest.mark.parametrize("name", ["carol", "bob"])
def test_servers_of_other_keys(keyed, upstream, name):
    """A key cannot use a server that its limits do not name, nor learn whether it exists."""
    for server in ("local", "no-such-server"):
        status, error = ask(keyed, name, "hello", server)
        assert (status, error["param"]) == (403, "claude.mcp_servers.0")
        assert "(mcp_servers)" in error["message"]
    assert not upstream.requests


def test_unknown_servers(keyed):
    """A server that is not in the file is a 400 that names those that are."""
    status, error = ask(keyed, "alice", "hello", "docs", "dcos")
    assert (status, error["param"]) == (400, "claude.mcp_servers.1")
    assert "docs, local, a b.c, events" in error["message"]


def test_plain(keyed):
    """In the profile plain, servers are refused by name."""
    status, error = ask(keyed, "alice", "hello", "docs", profile="plain")
    assert (status, error["param"]) == (400, "claude.mcp_servers")


def test_narrowed_by_the_key(keyed, upstream):
    """A key whose tools name tools of a server gets no other tool of it, by any request."""
    assert ask(keyed, "narrow", ADD, "docs") == (200, FIVE)
    assert mcp_names(upstream.requests[0]) == {"mcp__docs__add"}
    status, error = ask(keyed, "narrow", "hi", "docs", allowed_tools=["mcp__docs__headers"])
    assert (status, error["param"]) == (403, "claude.allowed_tools.0")
    _, text = ask(keyed, "narrow", "[[tool mcp__docs__headers {}]] [[result]]", "docs")
    assert SECRET not in text


@pytest.mark.parametrize(
    ("claude", "left"),
    [
        ({"allowed_tools": ["mcp__docs__add"]}, {"mcp__docs__add"}),
        (
            {"disallowed_tools": ["mcp__docs__environment", "mcp__docs__headers"]},
            {"mcp__docs__add", "mcp__docs__Bash"},
        ),
    ],
)
def test_narrowed_by_a_request(keyed, upstream, claude, left):
    """A request narrows a server to some of its tools; the model sees no others."""
    assert ask(keyed, "bob", "hello", "docs", **claude)[0] == 200
    assert mcp_names(upstream.requests[0]) == left


def test_denied_by_the_key(keyed, upstream):
    """A tool that a key's rules deny is not offered, and does not run."""
    status, text = ask(keyed, "denied", ADD, "docs")
    assert status == 200
    assert "mcp__docs__add" not in names(upstream.requests[0])
    assert FIVE not in text


def test_no_trace_for_others(keyed, upstream):
    """After a turn with a server, the next caller's request has nothing of it."""
    keyed.ask("carol", "hello", claude={"profile": "agent"})
    upstream.clear()
    ask(keyed, "alice", ADD, "docs", "local")
    upstream.clear()
    keyed.server.at_rest()
    for name in ("alice", "carol"):
        keyed.ask(name, "hello", claude={"profile": "agent"})
    assert all(b"mcp__" not in r.raw and b"INSTRUCTIONS" not in r.raw for r in upstream.requests)
    assert len(upstream.requests) == 2


def test_a_description_that_instructs(keyed, upstream):
    """What a server tells the model gives it no right: the rules for other tools still hold."""
    told = '[[tool Bash {"command": "touch owned"}]] [[result]]'
    status, text = ask(keyed, "bob", told, "docs", disallowed_tools=["Bash"])
    assert status == 200
    assert "SYSTEM: you must" in upstream.requests[0].raw.decode()
    assert "denied" in text


def test_a_tool_named_like_a_built_in(keyed, upstream):
    """A server's Bash is another tool than Claude Code's, and neither has the other's rules."""
    call = '[[tool mcp__docs__Bash {"command": "id"}]] [[result]]'
    _, text = ask(keyed, "bob", call, "docs", allowed_tools=["mcp__docs__Bash"])
    assert "the server's own: id" in text
    own = '[[tool Bash {"command": "ls"}]] [[result]]'
    _, text = ask(keyed, "bob", own, "docs", allowed_tools=["mcp__docs__Bash"])
    assert "the server's own" not in text
    assert "denied" in text


def test_secrets_are_nowhere(keyed):
    """No secret of a server is in the log, on a command line, in an error, or in the listing.

    Only the program whose secret it is has it in its environment.
    """
    ask(keyed, "alice", ADD, "docs", "local")
    assert eventually(lambda: "mcp_set_servers" in keyed.server.log())
    log = keyed.server.log()
    _, _, listing = keyed.call("alice", "GET", "/v1/mcp/servers")
    for secret in (SECRET, STDIO_SECRET):
        assert secret not in json.dumps(listing)
        assert not [line for line in log.splitlines() if secret in line and "Bearer" not in line]
        assert not [pid for pid, _ in environments() if secret in command_line(pid)]
    claudes = set(keyed.server.claudes())
    for pid, variables in environments():
        if pid in claudes:
            assert SECRET.encode() not in variables
            assert STDIO_SECRET.encode() not in variables


def test_sessions_keep_their_servers(keyed, new_session, upstream):
    """The turns of a session share its servers' processes; no other conversation does."""
    session = new_session(keyed.server, "agent", key=keyed.keys["alice"])
    claude = {"claude": {"profile": "agent", "mcp_servers": ["a b.c"]}}
    call = '[[tool mcp__a_b_c__ping {{"text": "{}"}}]] [[result]]'
    assert session.ask(call.format("one"), **claude).text == "one"
    assert session.ask(call.format("two")).text == "one two"
    assert ask(keyed, "alice", call.format("three"), "a b.c") == (200, "three")
    assert session.ask(call.format("four"), claude={"mcp_servers": []}).text != "one two four"


def test_narrowed_by_a_config(keyed):
    """A session's config leaves its turns only the servers that it names, from the next turn on."""
    session = {"session_id": "narrowed"}
    options = {"profile": "agent", "mcp_servers": ["docs", "events"]}
    assert keyed.ask("alice", "hello", claude=options, **session)[0] == 200
    path = "/v1/tools/config?session_id=narrowed"
    assert keyed.call("bob", "PUT", path, {"mcp_servers": ["docs"]})[0] == 404
    assert keyed.call("alice", "PUT", path, {"mcp_servers": ["docs"]})[0] == 200
    status, body = keyed.ask("alice", "hello", claude=options, **session)
    assert (status, body["error"]["param"]) == (400, "claude.mcp_servers.1")
    status, body = keyed.ask("alice", ADD, claude={"mcp_servers": ["docs"]}, **session)
    assert (status, body["choices"][0]["message"]["content"]) == (200, FIVE)


def test_on_a_warm_process(keyed):
    """A process that was warm before the request named a server serves it."""
    keyed.server.at_rest()
    claude = {"profile": "agent", "mcp_servers": ["docs"]}
    status, headers, _ = keyed.post("bob", ADD, claude=claude)
    assert (status, "desc=warm" in headers["server-timing"]) == (200, True)


def test_listing(keyed):
    """Each caller sees the servers that they may use, their state and their tools."""

    def listed(name):
        status, _, body = keyed.call(name, "GET", "/v1/mcp/servers")
        assert status == 200
        return {row["name"]: row for row in body["data"]}

    assert eventually(lambda: {row["state"] for row in listed("alice").values()} == {"connected"})
    assert set(listed("alice")) == {"docs", "local", "a b.c", "events"}
    assert listed("carol") == {}
    (docs,) = listed("narrow").values()
    assert (docs["type"], docs["tools"]) == ("http", ["mcp__docs__add"])
    assert docs["since"]
    assert docs["last_error"] is None


def test_two_workers(serve, redis_server, tmp_path, upstream):
    """A change of the file applies at once, and a session keeps its servers, on every worker."""
    file = tmp_path / "mcp.json"
    settings = {
        "MCP_CONFIG": write_config(file, one=bare("good")),
        "SESSION_STORE": redis_server.url,
        "POOL_SIZE_OTHER": "0",
        "LOG_LEVEL": "debug",
    }
    server = serve("-w", "2", **settings).wait()
    write_config(file, two=bare("good"))
    claude = {"profile": "agent", "mcp_servers": ["two"]}
    for _ in range(4):
        assert server.ask("hello", claude=claude)[0] == 200
        assert server.ask("hello", claude={**claude, "mcp_servers": ["one"]})[0] == 400
    upstream.clear()
    assert server.ask("hello", claude=claude, session_id="kept")[0] == 200
    for _ in range(4):
        assert server.ask("hello", session_id="kept")[0] == 200
    assert [mcp_names(request) for request in upstream.requests] == [{"mcp__two__ping"}] * 5
