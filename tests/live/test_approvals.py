"""Approvals with the real Claude Code: a tool waits until the turn's owner decides."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import Any

import pytest

from tests.support.approvals import decide, pending, text_of, wait_for
from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL

KEYS: dict[str, dict[str, Any]] = {
    "ann": {"admin": True},
    "alice": {},
    "bob": {},
    "asker": {"permission_mode": "ask"},
    "narrow": {"permission_mode": "default"},
    "poor": {"usd_per_day": 0.005},
}
ASK = {"profile": "agent", "permission_mode": "ask"}


def write(name: str) -> str:
    return f'[[tool Write {{"file_path": "{name}", "content": "x"}}]] [[result]]'


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    settings = {
        "POOL_SIZE_OTHER": "0",
        "DEFAULT_MODEL": MODEL,
        "MAX_CONCURRENT_TURNS": "1",
        "MAX_APPROVALS_OF_KEY": "3",
    }
    return KeyedGateway(_servers, tmp_path_factory.mktemp("approvals"), KEYS, **settings)


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway that runs one turn at once, and an upstream without requests."""
    return _keyed


def refused(upstream):
    """Return the last result of a tool that the model got."""
    blocks = upstream.requests[-1].body["messages"][-1]["content"]
    return str(next(block["content"] for block in blocks if block["type"] == "tool_result"))


def test_approve(keyed, background):
    """A tool runs once its owner approves it, and not before; it is decided once."""
    asked = background(keyed.ask, "alice", write("made.txt"), claude=ASK)
    (approval,) = wait_for(keyed)
    assert (approval["tool"], approval["key"], approval["status"]) == ("Write", "alice", "pending")
    assert approval["input"]["content"] == "x"
    assert approval["preview"].endswith("made.txt\n@@ @@\n+x\n")
    assert not asked.done()
    assert decide(keyed, approval)[1]["status"] == "approved"
    assert text_of(asked).startswith("File created")
    assert decide(keyed, approval)[0] == 409
    shown = keyed.call("alice", "GET", f"/v1/approvals/{approval['id']}")[2]
    assert (shown["status"], shown["decided_by"]) == ("approved", "alice")


def test_deny_with_a_reason(keyed, background):
    """The model gets the reason, and the tool does not run."""
    asked = background(keyed.ask, "alice", write("denied.txt"), claude=ASK)
    (approval,) = wait_for(keyed)
    status, body = decide(keyed, approval, decision="deny", reason="Not on Mondays.")
    assert (status, body["status"]) == (200, "denied")
    assert text_of(asked) == "Write was not approved: Not on Mondays."


def test_whose(keyed, background):
    """Another key sees and decides nothing; an admin sees and decides everyone's."""
    asked = background(keyed.ask, "alice", write("whose.txt"), claude=ASK)
    (approval,) = wait_for(keyed)
    assert pending(keyed, "bob") == []
    assert keyed.call("bob", "GET", f"/v1/approvals/{approval['id']}")[0] == 404
    assert decide(keyed, approval, "bob")[0] == 404
    assert pending(keyed, "ann") == [approval]
    assert decide(keyed, approval, "ann")[1]["decided_by"] == "ann"
    assert text_of(asked).startswith("File created")


def test_waiting_turns_have_no_place(keyed, upstream, background):
    """With one place, three turns of a key wait for approval, and others still run.

    A fourth may not wait: its tool is denied at once.
    """
    asked = [background(keyed.ask, "alice", write(f"w{n}.txt"), claude=ASK) for n in range(3)]
    approvals = wait_for(keyed, 3)
    assert keyed.ask("bob", "[[say free]]", claude={"profile": "agent"})[0] == 200
    status, body = keyed.ask("alice", write("fourth.txt"), claude=ASK)
    assert (status, "MAX_APPROVALS_OF_KEY" in str(body)) == (200, True)
    assert keyed.server.health()["turns"]["approvals"] == 3
    for approval in approvals:
        assert decide(keyed, approval)[0] == 200
    assert all(text_of(each).startswith("File created") for each in asked)
    metrics = keyed.server.call("GET", "/v1/metrics", headers=keyed.header("ann"))[2].decode()
    assert "claude_gateway_approvals_pending 0.0" in metrics


def test_budget(keyed, upstream, background):
    """A key that spends its budget while its turn waits is not charged for more of that turn."""
    dear = '[[usage {"input_tokens": 1000}]]'  # $0.003
    asked = background(keyed.post, "poor", f"{write('poor.txt')} {dear}", claude=ASK)
    (approval,) = wait_for(keyed, name="poor")
    assert keyed.ask("poor", f"[[say done]] {dear}", claude={"profile": "plain"})[0] == 200
    assert decide(keyed, approval, "poor")[0] == 200
    status, notes, body = asked.result()
    ended = (status, body["choices"][0]["finish_reason"], notes["x-ended-early"])
    assert ended == (200, "length", "insufficient_quota")
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("stream", [True, False])
def test_client_leaves(keyed, stream):
    """When the client leaves, its approval is withdrawn, and its place is free."""
    body = {"model": MODEL, "stream": stream, "claude": ASK}
    body["messages"] = [{"role": "user", "content": write("left.txt")}]
    connection = http.client.HTTPConnection("127.0.0.1", keyed.server.port, timeout=120)
    headers = {"Content-Type": "application/json", **keyed.header("alice")}
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        (approval,) = wait_for(keyed)
    wait_for(keyed, 0)
    assert decide(keyed, approval)[0] == 409
    assert keyed.ask("bob", "[[say free]]", claude={"profile": "agent"})[0] == 200


def test_stream_shows_it(keyed):
    """A stream has the approval when it begins to wait, and when it is decided."""
    shown = []
    messages: Any = [{"role": "user", "content": write("streamed.txt")}]
    more: Any = {"stream": True, "extra_body": {"claude": ASK}}
    with (
        keyed.client("alice") as client,
        client.chat.completions.create(model=MODEL, messages=messages, **more) as stream,
    ):
        for chunk in stream:
            if claude := (chunk.model_extra or {}).get("claude"):
                shown.append(claude["approval"])
                if len(shown) == 1:
                    assert decide(keyed, shown[0])[0] == 200
    assert [approval["status"] for approval in shown] == ["pending", "approved"]


def test_stream_of_a_response_shows_it(keyed):
    """A stream of the Responses API has events for it, which OpenAI's library passes on."""
    shown = []
    more: Any = {"stream": True, "extra_body": {"claude": ASK}}
    with (
        keyed.client("alice") as client,
        client.responses.create(model=MODEL, input=write("response.txt"), **more) as stream,
    ):
        for event in stream:
            if event.type == "claude.approval":
                shown.append(event.approval)
                if len(shown) == 1:
                    assert decide(keyed, shown[0])[0] == 200
    assert [approval["status"] for approval in shown] == ["pending", "approved"]
    assert event.type == "response.completed"


def test_for_the_session(keyed, background):
    """What is approved for a session needs no further approval in it, and does in another one."""
    first = {"claude": ASK, "session_id": "one"}
    asked = background(keyed.ask, "alice", write("s1.txt"), **first)
    (approval,) = wait_for(keyed)
    assert (approval["session_id"], approval["session_rule"]) == ("one", "Write")
    assert decide(keyed, approval, scope="session")[0] == 200
    assert text_of(asked).startswith("File created")
    status, body = keyed.ask("alice", write("s2.txt"), **first)
    assert status == 200
    assert "File created" in str(body)
    asked = background(keyed.ask, "alice", write("s3.txt"), claude=ASK, session_id="two")
    (approval,) = wait_for(keyed)
    assert decide(keyed, approval, decision="deny")[0] == 200
    assert "not approved" in text_of(asked)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[tool Write {"file_path": "/etc/made.txt", "content": "x"}]]', "working directory"),
        ('[[tool Write {"file_path": ".git/config", "content": "x"}]]', "guarded"),
        ('[[tool Bash {"command": "touch made.txt"}]]', "command was denied"),
        ('[[tool WebSearch {"query": "weather"}]]', "no more than acceptEdits"),
    ],
)
def test_no_more_than_the_settings_allow(keyed, upstream, text, why):
    """What the gateway's own mode would not allow cannot be approved: it is denied at once."""
    assert keyed.ask("alice", f"{text} [[say end]]", claude=ASK)[0] == 200
    assert why in refused(upstream)


def test_narrower_keys_cannot_ask(keyed):
    """A key that may not use tools which need approval may not ask for it."""
    status, body = keyed.ask("narrow", "Hi", claude=ASK)
    assert (status, body["error"]["param"]) == (403, "claude.permission_mode")
    listed = keyed.call("asker", "GET", "/v1/tools")[2]["data"]
    access = {tool["name"]: (tool["access"], tool["rule"]) for tool in listed}
    rule = {"source": "key", "name": "permission_mode"}
    assert access["Write"] == ("needs_approval", rule)
    assert access["WebSearch"][0] == "denied"
    assert access["Read"] == ("allowed", None)


def test_timeout(serve, background):
    """What nobody decides within APPROVAL_TIMEOUT is denied, and the turn does not ask again."""
    server = serve(POOL_SIZE_OTHER="0", APPROVAL_TIMEOUT="1").wait()
    text = f"{write('a.txt')} {write('b.txt')}"
    status, body = server.ask(text, claude=ASK)
    assert (status, body["choices"][0]["message"]["content"]) == (
        200,
        "Write was not approved: Nobody decided on an earlier tool use of this turn in time.",
    )
