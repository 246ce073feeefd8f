"""Tools with the real Claude Code: the list says what the model gets and what really runs."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL

READ = '[[tool Read {"file_path": "missing.txt"}]]'
USES = {
    "Read": READ,
    "Grep": '[[tool Grep {"pattern": "x"}]]',
    "Write": '[[tool Write {"file_path": "made.txt", "content": "x"}]]',
    "Bash": '[[tool Bash {"command": "touch made.txt"}]]',
    "WebFetch": '[[tool WebFetch {"url": "https://example.com/", "prompt": "x"}]]',
    "WebSearch": '[[tool WebSearch {"query": "weather"}]]',
}
# How Claude Code, and the gateway in its place, deny the use of a tool.
DENIALS = (
    *("has been denied", "was denied", "haven't granted", "plan mode", "requires approval"),
    "deny rule",
)
KEYS: dict[str, dict[str, Any]] = {
    "ann": {"admin": True},
    "alice": {},
    "bob": {},
    "planner": {"permission_mode": "plan"},
    "strict": {"permission_mode": "dontAsk", "disallowed_tools": ["Grep"]},
    "searcher": {"permission_mode": "default", "allowed_tools": ["WebSearch"]},
    "reader": {"tools": ["Read", "Grep"]},
    "counted": {},
}


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    settings = {"POOL_SIZE_OTHER": "0", "DEFAULT_MODEL": MODEL}
    return KeyedGateway(_servers, tmp_path_factory.mktemp("tools"), KEYS, **settings)


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway whose keys have different limits, and an upstream without requests."""
    return _keyed


def listed(keyed, name, query=""):
    """Return the tools of a caller by name."""
    status, _, body = keyed.call(name, "GET", f"/v1/tools{query}")
    assert status == 200, body
    return {tool["name"]: tool for tool in body["data"]}


def use(keyed, upstream, name, text, **more):
    """Let the model use a tool, and say whether that was denied."""
    upstream.clear()
    text = text.replace(
        "made.txt", f"{uuid.uuid4().hex}.txt"
    )  # an existing file must be read first
    claude = {"profile": "agent", **more.pop("claude", {})}
    status, body = keyed.ask(name, f"[[say end]] {text}", claude=claude, **more)
    assert status == 200, body
    blocks = upstream.requests[-1].body["messages"][-1]["content"]
    (result,) = (block for block in blocks if block["type"] == "tool_result")
    return any(denial in str(result["content"]) for denial in DENIALS)


def test_list_is_what_the_model_gets(keyed, upstream):
    """Names, descriptions and schemas are those of the upstream request; listing sends none."""
    tools = listed(keyed, "alice")
    assert upstream.requests == []
    assert keyed.ask("alice", "Hi", claude={"profile": "agent"})[0] == 200
    keys = ("name", "description", "input_schema")
    got = [{key: tool[key] for key in keys} for tool in tools.values()]
    assert got == [{key: tool[key] for key in keys} for tool in upstream.requests[-1].body["tools"]]
    assert {tool["origin"] for tool in tools.values()} == {"claude_code"}


@pytest.mark.parametrize("name", ["alice", "planner", "strict", "searcher", "reader"])
def test_list_says_what_runs(keyed, upstream, name):
    """A tool that the list calls allowed runs, and one that it calls denied does not."""
    tools = listed(keyed, name)
    for tool, text in USES.items():
        access = tools[tool]["access"]
        if access != "conditional":
            assert use(keyed, upstream, name, text) == (access == "denied"), tools[tool]
        else:
            assert tool in ("Bash", "WebFetch")
            assert use(keyed, upstream, name, text), tools[tool]


def test_session_config(keyed, upstream):
    """A session's config holds from its next turn on, also in the process of the turn before."""
    session = {"session_id": "configured"}
    assert not use(keyed, upstream, "alice", USES["Write"], **session)
    path = "/v1/tools/config?session_id=configured"
    for who in ("bob", "ann"):  # neither has a session of this id
        assert keyed.call(who, "PUT", path, {"allowed_tools": []})[0] == 404
    config = {"disallowed_tools": ["Read"], "permission_mode": "plan"}
    assert keyed.call("alice", "PUT", path, config)[0] == 200
    tools = listed(keyed, "alice", "?session_id=configured")
    assert (tools["Read"]["access"], tools["Write"]["access"]) == ("denied", "denied")
    assert use(keyed, upstream, "alice", USES["Write"], **session)
    assert use(keyed, upstream, "alice", READ, **session)
    wide = {"permission_mode": "acceptEdits"}
    status, body = keyed.ask("alice", "Hi", claude=wide, **session)
    assert (status, body["error"]["param"]) == (403, "claude.permission_mode")
    assert not use(keyed, upstream, "alice", USES["Write"])
    assert keyed.call("alice", "PUT", path, {"max_turns": 1})[0] == 200
    upstream.clear()
    body = keyed.post("alice", f"{READ} [[result]]", **session)[2]
    assert (body["choices"][0]["finish_reason"], len(upstream.requests)) == ("length", 1)
    assert keyed.call("alice", "PUT", path, {})[0] == 200
    assert not use(keyed, upstream, "alice", USES["Write"], **session)


def test_stats(keyed, upstream):
    """Uses are counted as they ended, and timed; the client's functions are not counted."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    path = f"/v1/tools/stats?start={day}"
    claude = {"profile": "agent", "permission_mode": "default"}
    runs = f'[[together]] [[tool Bash {{"command": "ls"}}]] {USES["Bash"]}'
    for text in (runs, USES["Write"], READ, "[[tool NoSuchTool {}]]"):
        assert keyed.ask("counted", f"[[say end]] {text}", claude=claude)[0] == 200
    function = {"type": "function", "function": {"name": "weather"}}
    keyed.ask("counted", "[[tool weather {}]]", tools=[function], claude={"profile": "agent"})
    lines = {line["tool"]: line for line in keyed.call("counted", "GET", path)[2]["data"]}
    assert set(lines) == {"Bash", "Read", "Write", "other"}
    names = ("uses", "failures", "denials")
    counted = {tool: tuple(line[name] for name in names) for tool, line in lines.items()}
    # The scripted model repeats the second of two calls.
    assert counted["Bash"] == (3, 0, 2)
    assert lines["Bash"]["seconds"] > 0
    assert counted["Read"] == (1, 1, 0)
    assert counted["Write"] == (1, 0, 1)
    assert counted["other"] == (1, 1, 0)
    assert keyed.call("bob", "GET", f"{path}&key=counted")[0] == 403
    assert keyed.call("ann", "GET", f"{path}&key=counted")[2]["data"] == [*lines.values()]


def test_config_on_every_worker(serve, tmp_path, redis_server, upstream):
    """What an admin sets for a key, and an owner for a session, holds on each of two workers.

    So do the statistics of all of them.
    """
    stores = {"REDIS_URL": redis_server.url, "SESSION_STORE": redis_server.url}
    start = partial(serve, "-w", "2", POOL_SIZE_OTHER="0")
    keyed = KeyedGateway(start, tmp_path, KEYS, **stores)
    session = {"session_id": "shared"}
    assert not use(keyed, upstream, "alice", USES["Write"], **session)
    path = "/v1/tools/config?session_id=shared"
    assert keyed.call("alice", "PUT", path, {"permission_mode": "plan"})[0] == 200
    path = "/v1/tools/config?key=bob"
    assert keyed.call("bob", "PUT", path, {})[0] == 403
    assert keyed.call("ann", "PUT", path, {"allowed_tools": ["Grep"]})[0] == 200
    for _ in range(4):
        assert use(keyed, upstream, "alice", USES["Write"], **session)
        assert use(keyed, upstream, "bob", READ)
        rule = {"source": "key_config", "name": "allowed_tools"}
        assert listed(keyed, "bob")["Read"]["rule"] == rule
    assert keyed.call("ann", "PUT", path, {})[0] == 200
    for _ in range(4):
        assert not use(keyed, upstream, "bob", READ)
    for _ in range(4):
        (line,) = keyed.call("bob", "GET", "/v1/tools/stats")[2]["data"]
        assert (line["tool"], line["uses"], line["denials"]) == ("Read", 8, 4)
