"""How the MCP servers of a turn are connected, and what Claude Code's answers mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from wrapper.errors import McpServerFailed
from wrapper.services.claude.protocol.mcp_connection import (
    CONNECT,
    MOST_TOOLS,
    SPARE_SECONDS,
    STATUS,
    McpConnection,
    without_secrets,
)
from wrapper.services.tools.mcp import McpServer
from wrapper.services.turn import Function, Message, Permissions, Turn

SECRET = "secret-5e6f"
DOCS = McpServer("docs", {"type": "http", "url": "http://a", "headers": {"A": SECRET}})
LOCAL = McpServer("lo cal", {"type": "stdio", "command": "x"})


def turn_with(*servers, **fields):
    return Turn("sonnet", (Message("user", ("hi",)),), mcp_servers=servers, **fields)


def row(server, *tools, **fields):
    return {
        "name": server.name,
        "status": "connected",
        "tools": [{"name": name, "annotations": {}} for name in tools],
        **fields,
    }


def settings_of(turn, *rows, record=lambda server, finding: None):
    """Return the permissions of the turn's settings, by the rows of mcp_status."""
    frames = McpConnection(turn, 1.0, record).settings(
        {CONNECT: {}, STATUS: {"mcpServers": [*rows]}}
    )
    return frames[0]["request"]["settings"]["permissions"]


def test_approvals():
    """Rules make Claude Code ask before tools that need approval, beside those that it has."""
    docs = replace(DOCS, unasked=("free",))
    turn, status = turn_with(docs), {"mcpServers": [row(docs, "add", "free")]}
    connection = McpConnection(turn, 1.0, lambda *both: None, asks=("Bash",))
    permissions = connection.settings({CONNECT: {}, STATUS: status})[0]["request"]["settings"]
    assert permissions["permissions"]["ask"] == ["Bash", "mcp__docs__add"]
    assert "ask" not in settings_of(turn_with(DOCS), row(DOCS, "add"))


def failure_of(turn, *rows):
    with pytest.raises(McpServerFailed) as caught:
        settings_of(turn, *rows)
    assert (caught.value.status, caught.value.code) == (502, "mcp_server_failed")
    assert caught.value.retry is False
    assert SECRET not in f"{caught.value.message} {caught.value.details}"
    return caught.value


@pytest.mark.parametrize("functions", [(), (Function("f", {}),)])
def test_requests(functions):
    """The whole set is sent, with the server of the client's functions if there are any."""
    requests = McpConnection(turn_with(DOCS, LOCAL, functions=functions), 1.0, print).requests
    connect, status = (frame["request"] for frame in requests)
    assert connect["servers"]["docs"] == DOCS.config
    assert set(connect["servers"]) == {"docs", "lo cal", *(["client"] if functions else [])}
    assert status == {"subtype": "mcp_status"}


def test_tools_that_may_not_be_used():
    """What a server offers beyond the tools that may be used is denied by name."""
    narrowed = McpServer(LOCAL.name, LOCAL.config, tools=("a",))
    turn = turn_with(narrowed, permissions=Permissions(("mcp__lo_cal__a",), ("Bash",)))
    rules = settings_of(turn, row(LOCAL, "a", "b.c", "d"))
    assert rules == {
        "allow": ["mcp__lo_cal__a"],
        "deny": ["Bash", "mcp__lo_cal__b_c", "mcp__lo_cal__d"],
    }


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"error": 'MCP server "docs" connection timed out after 30ms'}, "in time (MCP_TIMEOUT)"),
        ({"error": "ENOENT: no such file, posix_spawn 'x'"}, "command cannot be run"),
        ({"error": "TypeError dialing http://a (ECONNREFUSED)"}, "ECONNREFUSED"),
        ({"error": "HTTP 401 Unauthorized"}, "refused the login"),
        ({"status": "needs-auth"}, "refused the login"),
        ({"error": "Connection closed"}, "it ended"),
        ({"error": f"odd: {SECRET}"}, "it failed"),
        ({"status": "pending"}, "it failed"),
        ({"status": 5, "error": {"a": 1}}, "it failed"),
        ({"status": "connected"}, "offers no tools"),
        ({"status": "connected", "tools": "garbage"}, "offers no tools"),
        ({"status": "connected", "tools": [5, {"name": 5}]}, "offers no tools"),
    ],
)
def test_failures(fields, says):
    """A server that cannot be used is named, with a reason that holds no secret."""
    found = []
    error = failure_of(
        turn_with(LOCAL, DOCS),
        row(LOCAL, "a"),
        row(DOCS, **{"status": "failed", "tools": [], **fields}),
    )
    assert "'docs'" in error.message
    assert says in error.message
    with pytest.raises(McpServerFailed):
        settings_of(turn_with(DOCS), record=lambda *both: found.append(both))
    assert found[0][1].error


@pytest.mark.parametrize("answer", [None, {}, {"mcpServers": None}, {"mcpServers": ["x"]}])
def test_answers_without_the_server(answer):
    """A server that Claude Code's answer does not name has failed."""
    with pytest.raises(McpServerFailed):
        McpConnection(turn_with(DOCS), 1.0, lambda *_: None).settings({STATUS: answer})


def test_too_many_tools():
    """A server with too many tools is named, unless the tools that may be used are few."""
    many = [f"t{number}" for number in range(MOST_TOOLS)]
    settings_of(turn_with(DOCS), row(DOCS, *many))
    error = failure_of(turn_with(LOCAL, DOCS), row(LOCAL, "a"), row(DOCS, *many))
    assert f"'docs' offers {MOST_TOOLS} tools" in error.message
    denied = Permissions(deny=("mcp__docs__t1",))
    settings_of(turn_with(LOCAL, DOCS, permissions=denied), row(LOCAL, "a"), row(DOCS, *many))
    few = McpServer("docs", DOCS.config, tools=("t1",))
    settings_of(turn_with(few), row(DOCS, *many, "more"))


def test_no_answer_in_time():
    """If Claude Code itself does not answer, the servers are named; one alone is to blame."""
    found = []
    alone = McpConnection(turn_with(DOCS), 2.0, lambda *both: found.append(both))
    assert alone.seconds == 2.0 + SPARE_SECONDS
    assert "'docs' did not connect in time" in alone.give_up().message
    assert found[0][0] is DOCS
    two = McpConnection(turn_with(DOCS, LOCAL), 2.0, lambda *both: found.append(both))
    assert "one of 'docs', 'lo cal'" in two.give_up().message
    assert len(found) == 1


def test_nothing_for_the_log():
    """The frames that name servers' configurations are logged without them."""
    request = McpConnection(turn_with(DOCS), 1.0, print).requests[0]
    answer = {
        "type": "control_response",
        "response": {"request_id": STATUS, "response": {"mcpServers": [{"config": DOCS.config}]}},
    }
    for frame in (request, answer):
        assert SECRET in json.dumps(frame)
        assert SECRET not in json.dumps(without_secrets(frame))
    other = {"type": "control_response", "response": {"request_id": "settings"}}
    assert without_secrets(other) is other


MINE = McpServer(
    "mine", {"type": "http", "url": "http://b", "headers": {"A": SECRET}}, brought="tools.0"
)


def test_requests_for_brought_servers():
    """Claude Code gets nothing of a server that the caller brings but its name.

    The set without it comes first, so that a process asks for its tools in each turn.
    """
    requests = McpConnection(turn_with(DOCS, MINE), 1.0, print).requests
    first, second, status = (frame["request"] for frame in requests)
    assert first["servers"] == {"docs": DOCS.config}
    assert second["servers"] == {"docs": DOCS.config, "mine": {"type": "sdk", "name": "mine"}}
    assert status == {"subtype": "mcp_status"}


@pytest.mark.parametrize(
    ("statuses", "pending"),
    [
        ({"docs": "connected", "mine": "pending"}, True),
        ({"docs": "pending", "mine": "connected"}, False),
        ({"mine": "failed"}, False),
        ({}, False),
    ],
)
def test_pending(statuses, pending):
    """Only a server that the caller brings may still be pending when Claude Code answers."""
    rows = [{"name": name, "status": status} for name, status in statuses.items()]
    connection = McpConnection(turn_with(DOCS, MINE), 1.0, print)
    assert connection.is_pending({STATUS: {"mcpServers": rows}}) is pending


def test_brought_servers_are_not_recorded():
    """What is found of a caller's server is nobody else's business."""
    recorded = []
    rows = [row(DOCS, "a"), row(MINE, "b")]
    settings_of(turn_with(DOCS, MINE), *rows, record=lambda server, _: recorded.append(server))
    assert recorded == [DOCS]
    McpConnection(turn_with(MINE), 1.0, lambda server, _: recorded.append(server)).give_up()
    assert recorded == [DOCS]
