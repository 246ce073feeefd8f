"""Fallback models: another model answers with the real Claude Code, and nothing is silent.

The gateway has two workers, which share a Redis, and each caller has a key.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from redis import Redis

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import eventually

FAILS = "[[error 529]] [[of opus]] Hi"


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory, redis_server):
    """A gateway whose Claude Code would try a request again and again."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    ceilings: dict[str, Any] = {"ann": {"admin": True, "fallback_models": ["sonnet"]}}
    ceilings |= {"plain": {}, "agent": {}, "bob": {}}
    settings = {"REDIS_URL": redis_server.url, "SESSION_STORE": redis_server.url}
    settings |= {"CLAUDE_CODE_MAX_RETRIES": "10", "POOL_SIZE_OTHER": "0"}
    start = partial(_servers, "-w", "2")
    return KeyedGateway(start, tmp_path_factory.mktemp("keys"), ceilings, **settings)


@pytest.fixture
def keyed(_keyed, upstream):
    return _keyed


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_fallback(keyed, upstream, profile):
    """After one failed request the next model answers, and answer, header and usage name it."""
    options = {"profile": profile, "fallback_models": ["sonnet"]}
    status, headers, body = keyed.post(profile, FAILS, model="opus", claude=options)
    assert (status, headers["x-failed-models"]) == (200, "opus")
    assert "sonnet" in body["model"]
    assert ["sonnet" in each.body["model"] for each in upstream.requests] == [False, True]
    (line,) = keyed.usage(profile)["data"]
    assert "sonnet" in line["model"]


@pytest.mark.parametrize("error", [429, 500])
def test_errors(keyed, upstream, error):
    """A limit and a failure cost one request each."""
    options = {"profile": "plain", "fallback_models": ["sonnet"]}
    text = f"[[error {error}]] [[of opus]] Hi"
    status, headers, body = keyed.post("bob", text, model="opus", claude=options)
    assert (status, headers["x-failed-models"], "sonnet" in body["model"]) == (200, "opus", True)
    assert ["sonnet" in request.body["model"] for request in upstream.requests] == [False, True]


def test_retired(keyed, upstream):
    """The first request in a minute finds out that a model is retired, on each worker.

    After a 404 Claude Code asks once more without a stream, and no setting prevents that.
    """
    options = {"profile": "plain", "fallback_models": ["sonnet"]}
    for _ in range(8):
        status, headers, body = keyed.post(
            "bob", "[[error 404]] [[of haiku]] Hi", model="haiku", claude=options
        )
        assert (status, headers["x-failed-models"], "sonnet" in body["model"]) == (
            200,
            "haiku",
            True,
        )
    asked = ["sonnet" in request.body["model"] for request in upstream.requests]
    assert asked[:3] == [False, False, True]
    assert (asked.count(True), asked.count(False)) in [(8, 2), (8, 4)]


def test_after_tools(keyed, upstream):
    """Once an agent's tool has run, no other model is asked."""
    options = {"profile": "agent", "fallback_models": ["sonnet"]}
    text = '[[tool Bash {"command": "echo ran"}]] [[break 529]]'
    status, headers, _ = keyed.post("bob", text, model="opus", claude=options)
    assert (status >= 500, "x-failed-models" in headers) == (True, False)
    assert "ran" in json.dumps(upstream.requests[-1].body["messages"])
    assert {"opus" in request.body["model"] for request in upstream.requests} == {True}


def test_of_a_key(keyed):
    """A key's own fallbacks hold for each API and in streams, and are counted."""
    body = {"model": "opus", "max_tokens": 50, "messages": [{"role": "user", "content": FAILS}]}
    status, headers, answer = keyed.call("ann", "POST", "/v1/messages", body)
    assert (status, headers["x-failed-models"], "sonnet" in answer["model"]) == (200, "opus", True)
    asked = {"model": "opus", "input": FAILS, "stream": True}
    status, headers, stream = keyed.server.call("POST", "/v1/responses", asked, keyed.header("ann"))
    assert (status, headers["x-failed-models"]) == (200, "opus")
    completed = json.loads(stream.decode().rpartition("data: ")[2])
    assert "sonnet" in completed["response"]["model"]
    line = 'claude_gateway_fallbacks_total{model="opus"} '

    def counted():
        text = keyed.server.call("GET", "/metrics", headers=keyed.header("ann"))[2].decode()
        return float(text.partition(line)[2].split()[0]) if line in text else 0

    assert eventually(lambda: counted() >= 2)


def test_in_a_session(keyed, upstream):
    """A session goes on with the answer of the other model, and then with its own one again."""
    options = {"profile": "agent", "fallback_models": ["sonnet"]}
    session = {"session_id": "falls", "model": "opus", "claude": options}
    assert keyed.post("bob", "[[say one]]", **session)[0] == 200
    status, headers, _ = keyed.post("bob", f"{FAILS} [[say two]]", **session)
    assert (status, headers["x-failed-models"]) == (200, "opus")
    upstream.clear()
    status, headers, body = keyed.post("bob", "[[say three]]", **session)
    assert (status, "opus" in body["model"], "x-failed-models" in headers) == (200, True, False)
    texts = json.dumps(upstream.requests[0].body["messages"])
    assert texts.index('"one"') < texts.index('"two"')


def test_none(keyed, upstream):
    """Without fallbacks, the model's failure is the answer."""
    status, headers, _ = keyed.post("bob", "[[error 404]] Hi", model="opus")
    assert status == 404
    assert "x-failed-models" not in headers
