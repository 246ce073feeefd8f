"""Redis: several gateways share what each key uses and has spent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.redis_server import RedisServer
from tests.support.server import eventually

PLAIN = {"claude": {"profile": "plain"}}
DEAR = '[[say done]] [[usage {"input_tokens": 1000}]]'  # $0.003015
CEILINGS: dict[str, dict[str, Any]] = {
    "alice": {},
    "poor": {"usd_per_day": 0.003},
    "rated": {"requests_per_minute": 3, "tokens_per_minute": 100_000},
}


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def keyed(serve, tmp_path, redis):
    return KeyedGateway(serve, tmp_path, CEILINGS, REDIS_URL=redis.url, POOL_SIZE="1")


def test_shared(serve, keyed, redis):
    """Usage at one gateway counts at another, too."""
    first = keyed.server
    second = serve(API_KEYS_FILE=str(keyed.file), REDIS_URL=redis.url, POOL_SIZE="1").wait()

    def ask(server, name, text):
        keyed.server = server
        return keyed.ask(name, text, **PLAIN)

    assert ask(first, "poor", DEAR)[0] == 200
    status, body = ask(second, "poor", "hello")
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")
    for server in (first, second, first):
        assert ask(server, "rated", "hello")[0] == 200
    status, body = ask(second, "rated", "hello")
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    first.stop()
    assert keyed.usage("poor")["total"]["requests"] == 1
    assert keyed.usage("rated")["total"]["requests"] == 3


def test_away_and_back(keyed, redis):
    """Without Redis turns go on with warnings. Once it is back, their usage is stored."""
    port = redis.port
    assert keyed.ask("alice", DEAR, **PLAIN)[0] == 200
    redis.stop()
    for name in ("alice", "rated"):
        assert keyed.ask(name, DEAR, **PLAIN)[0] == 200
    assert keyed.server.health()["usage"]["unbooked"] == 2
    assert keyed.server.health()["status"] == "degraded"
    assert "rates are not limited" in keyed.server.log()
    status, _, body = keyed.call("alice", "GET", "/v1/usage")
    assert (status, body["error"]["code"]) == (503, "unavailable")
    redis.start(port)
    assert keyed.ask("alice", DEAR, **PLAIN)[0] == 200
    # Redis kept nothing; the usage that waited meanwhile is there.
    assert keyed.usage("alice")["total"]["requests"] == 2
    assert eventually(lambda: keyed.server.health()["usage"]["status"] == "ok")


def test_away_and_required(serve, tmp_path, redis):
    """With USAGE_REQUIRED turns are refused while Redis is away."""
    keyed = KeyedGateway(serve, tmp_path, CEILINGS, REDIS_URL=redis.url, USAGE_REQUIRED="true")
    assert keyed.ask("rated", "hello", **PLAIN)[0] == 200
    port = redis.port
    redis.stop()
    for name in ("alice", "rated"):
        status, body = keyed.ask(name, "hello", **PLAIN)
        assert (status, body["error"]["code"]) == (503, "unavailable")
        assert "USAGE_REQUIRED" in body["error"]["message"]
    redis.start(port)
    for name in ("alice", "rated"):
        assert keyed.ask(name, "hello", **PLAIN)[0] == 200


def test_the_password_is_nowhere(serve, tmp_path, upstream):
    """The password in REDIS_URL is in no log and in no answer."""
    url = "redis://:hunter2-hunter2@127.0.0.1:1/0"
    keyed = KeyedGateway(serve, tmp_path, CEILINGS, REDIS_URL=url, POOL_SIZE="1", LOG_LEVEL="debug")
    assert keyed.ask("rated", "hello", **PLAIN)[0] == 200
    told = (
        keyed.server.log()
        + str(keyed.server.health())
        + str(keyed.call("alice", "GET", "/v1/usage"))
    )
    assert "REDIS_URL" in told
    assert "hunter2" not in told


def test_away_before_the_first_use(serve):
    """Without any request the health shows that Redis is away, for usage and for sessions."""
    away = "redis://127.0.0.1:1/0"
    server = serve(REDIS_URL=away, SESSION_STORE=away, POOL_SIZE_OTHER="0").listen()

    def failing() -> bool:
        health = server.health()
        return {health[part]["status"] for part in ("usage", "sessions")} == {"failing"}

    assert eventually(failing)
    assert eventually(lambda: server.health()["status"] == "degraded")
    assert "Redis cannot be reached" in server.health()["usage"]["error"]
    assert server.log().count("usage cannot be recorded: REDIS_URL") == 1
