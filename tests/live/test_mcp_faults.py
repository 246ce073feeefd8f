"""MCP servers that fail: each costs only its own turn an error that names it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.mcp_servers import bare, write_config
from tests.support.server import command_line, eventually, started_for

TIMEOUT_SECONDS = 8
# Each fails before its turn has begun.
FAULTS: dict[str, tuple[Any, str]] = {
    "many": (bare("many"), "offers 1000 tools"),
    "silent": (bare("silent"), "did not connect in time"),
    "garbage": (bare("garbage"), "did not connect in time"),
    "exits": (bare("exits"), "ended, or closed the connection"),
    "absent": ({"command": "/no/such/program"}, "command cannot be run"),
    "refused": ({"type": "http", "url": "http://127.0.0.1:9/mcp?key=a1b2c3"}, "nothing listens"),
}
SETTINGS = {
    "POOL_SIZE": "2",
    "POOL_SIZE_OTHER": "0",
    "MCP_TIMEOUT": str(TIMEOUT_SECONDS * 1000),
    "MCP_TOOL_TIMEOUT": "1000",
    "LOG_LEVEL": "debug",
}
CALL = '[[tool mcp__{}__ping {{"text": "x"}}]] [[result]]'


SERVERS = {
    **{name: config for name, (config, _) in FAULTS.items()},
    **{name: bare(name) for name in ("good", "crashes", "hangs")},
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("faults") / "mcp.json"


@pytest.fixture(scope="module")
def server(_servers, file):
    return _servers(MCP_CONFIG=write_config(file, **SERVERS), **SETTINGS).wait()


@pytest.fixture(autouse=True)
def _no_requests(upstream):
    """Begin each test with an upstream without requests."""


def ask(server, *servers, text="hello", **claude):
    claude = {"profile": "agent", "mcp_servers": list(servers), **claude}
    return server.ask(text, claude=claude)


def test_a_failing_server_fails_its_own_turn(server, upstream):
    """A server that fails ends its turn with a 502 that names it, and other turns do not wait."""
    with ThreadPoolExecutor() as pool:
        failing = {"silent": pool.submit(ask, server, "silent")}
        assert ask(server)[0] == 200
        assert not failing["silent"].done()
        failing |= {name: pool.submit(ask, server, name) for name in FAULTS.keys() - failing}
        for name, (_, says) in FAULTS.items():
            status, body = failing[name].result()
            assert (status, body["error"]["code"]) == (502, "mcp_server_failed"), body
            assert repr(name) in body["error"]["message"]
            assert says in body["error"]["message"]
    assert len(upstream.requests) == 1
    assert "a1b2c3" not in server.log()


@pytest.mark.thorough
def test_a_server_that_floods(server, file):
    """A server that keeps Claude Code busy is ended with its process, some seconds later."""
    write_config(file, **SERVERS, flood=bare("flood"))
    status, body = ask(server, "flood")
    assert (status, body["error"]["code"]) == (502, "mcp_server_failed")
    assert "'flood'" in body["error"]["message"]
    assert ask(server)[0] == 200


def test_one_of_several(server, upstream):
    """If one of a turn's servers fails, the error names that one."""
    status, body = ask(server, "good", "absent")
    assert status == 502
    assert "'absent'" in body["error"]["message"]
    assert not upstream.requests


def test_some_of_many_tools(server, upstream):
    """A server with too many tools can be used with some of them."""
    rules = ["mcp__many__tool7", "mcp__many__tool8"]
    assert ask(server, "many", allowed_tools=rules)[0] == 200
    offered = {tool["name"] for tool in upstream.requests[0].body["tools"]}
    assert {name for name in offered if name.startswith("mcp__")} == set(rules)


@pytest.mark.parametrize(
    ("name", "says"), [("crashes", "Connection closed"), ("hangs", "timed out")]
)
def test_a_call_that_fails(server, name, says):
    """A server that ends or hangs in a call gives the model an error, with which it goes on."""
    status, body = ask(server, name, text=CALL.format(name))
    assert status == 200
    assert says in body["choices"][0]["message"]["content"]


def test_the_listing(server):
    """The listing says which servers failed, why and since when."""
    ask(server, "good")
    ask(server, "exits")
    listed = json.loads(server.call("GET", "/v1/mcp/servers")[2])
    rows = {row["name"]: row for row in listed["data"]}
    assert rows["good"]["state"] == "connected"
    assert rows["exits"]["state"] == "failed"
    assert rows["exits"]["last_error"] == "it ended, or closed the connection"
    assert rows["exits"]["since"] <= rows["exits"]["last_error_at"]


def test_the_listing_of_tools(server):
    """Of servers that fail, or offer too many tools, the listing says why; others are listed."""
    listed: dict[str, Any] = {}

    def tried():
        listed.update(json.loads(server.call("GET", "/v1/tools")[2]))
        waits = {row["origin"] for row in listed["unlisted"] if "ask again" in row["reason"]}
        return waits <= {"mcp:silent", "mcp:garbage"}

    assert eventually(tried)
    origins = {tool["origin"] for tool in listed["data"]}
    assert {"claude_code", "mcp:good"} <= origins
    reasons = {row["origin"].removeprefix("mcp:"): row["reason"] for row in listed["unlisted"]}
    for name, (_, says) in FAULTS.items():
        assert says in reasons[name] or "still being asked" in reasons[name]
        assert f"mcp:{name}" not in origins


def test_nothing_stays(server):
    """No process of a server outlives the turns that used it."""
    ask(server, "good")
    server.at_rest()
    assert eventually(
        lambda: not [pid for pid in started_for(server.temporary) if "good" in command_line(pid)]
    )
