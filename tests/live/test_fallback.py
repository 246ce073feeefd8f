"""Fallback models: another model answers with the real Claude Code, and nothing is silent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import eventually

FAILS = "[[error 529]] [[of opus]] Hi"


@pytest.fixture(scope="module")
def _keyed(_servers, tmp_path_factory):
    """A gateway whose Claude Code would try a request again and again."""
    ceilings: dict[str, Any] = {"ann": {"admin": True, "fallback_models": ["sonnet"]}}
    ceilings |= {"plain": {}, "agent": {}, "bob": {}}
    settings = {"CLAUDE_CODE_MAX_RETRIES": "10"}
    return KeyedGateway(_servers, tmp_path_factory.mktemp("keys"), ceilings, **settings)


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
    metrics = "claude_gateway_fallbacks_total"

    def counted():
        text = keyed.server.call("GET", "/metrics", headers=keyed.header("ann"))[2].decode()
        return metrics in text

    assert eventually(counted)


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
