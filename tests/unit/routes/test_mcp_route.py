"""GET /v1/mcp/servers: each caller's servers and their states."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from wrapper import Gateway
from wrapper.services.principal import Principal
from wrapper.services.tools.mcp_state import ServerState
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

SECRET = "secret-3c4d"
CALLERS = {
    "alice": Principal("alice", mcp_servers=("*",)),
    "bob": Principal("bob", mcp_servers=("docs",), tools=("mcp__docs__add",)),
    "carol": Principal("carol"),
}
STATES = {
    "docs": ServerState("connected", ("add", "r.m"), 0.0, 60.0, "it ended", 30.0),
    "local": ServerState("failed", (), 90.0, 90.0, "its command cannot be run", 90.0),
}


class EngineWithServers(ScriptedEngine):
    """An engine that knows the states of two servers."""

    def mcp_states(self, servers, seconds=0.0):
        names = {server.name for server in servers}
        return {name: state for name, state in STATES.items() if name in names}


@pytest.fixture(params=[EngineWithServers, ScriptedEngine])
def engine(request):
    return request.param()


@pytest.fixture
def listed(tmp_path, engine):
    """Return a function that lists a caller's servers."""
    file = tmp_path / "mcp.json"
    servers = {
        "docs": {"type": "http", "url": f"http://a?{SECRET}", "headers": {"A": SECRET}},
        "local": {"command": "x", "args": [SECRET], "env": {"A": SECRET}},
        "new": {"command": "x"},
    }
    file.write_text(json.dumps({"mcpServers": servers}))
    app = Flask(__name__)
    gateway = Gateway(
        Settings(usage_db=str(tmp_path / "usage.db"), mcp_config=str(file)),
        engine=engine,
        authenticate=lambda request: CALLERS.get(request.headers.get("x-api-key", "")),
    )
    gateway.init_app(app)

    def listed(name):
        answer = app.test_client().get("/v1/mcp/servers", headers={"x-api-key": name})
        assert answer.status_code == 200
        assert SECRET not in answer.text
        return {row.pop("name"): row for row in json.loads(answer.text)["data"]}

    with gateway:
        yield listed


def test_states(listed, engine):
    """A server has its state, its tools, and its last error with the time."""
    found = listed("alice")
    assert list(found) == ["docs", "local", "new"]
    pending: dict[str, Any] = {
        "state": "pending",
        "since": None,
        "tools": [],
        "last_error": None,
        "last_error_at": None,
    }
    assert found["new"] == {"type": "stdio", **pending}
    if type(engine) is ScriptedEngine:  # such an engine knows no servers
        assert found["docs"] == {"type": "http", **pending}
        return
    assert found["docs"] == {
        "type": "http",
        "state": "connected",
        "since": "1970-01-01T00:00:00+00:00",
        "tools": ["mcp__docs__add", "mcp__docs__r_m"],
        "last_error": "it ended",
        "last_error_at": "1970-01-01T00:00:30+00:00",
    }
    assert (found["local"]["state"], found["local"]["last_error"]) == (
        "failed",
        "its command cannot be run",
    )


def test_callers(listed, engine):
    """A caller sees the servers that they may use, and of these only the tools that they may."""
    (docs,) = listed("bob").values()
    assert docs["tools"] == ([] if type(engine) is ScriptedEngine else ["mcp__docs__add"])
    assert listed("carol") == {}
