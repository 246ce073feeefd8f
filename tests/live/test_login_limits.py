"""GET /v1/limits: what the provider says about the limits of a subscription's login."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.redis_server import RedisServer

PLAIN = {"claude": {"profile": "plain"}}
PREFIX = "anthropic-ratelimit-unified"
LOGIN = {
    "ANTHROPIC_API_KEY": "",
    "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-test",
    "POOL_SIZE_OTHER": "0",
    "DEFAULT_PROFILE": "plain",
}


@pytest.fixture
def reports(upstream):
    """A function that lets the provider report how much of the limits is used."""

    resets_at = int(time.time()) + 3600

    def report(status: str, five_hour: float) -> None:
        upstream.headers.update(
            {
                f"{PREFIX}-status": status,
                f"{PREFIX}-reset": str(resets_at),
                f"{PREFIX}-representative-claim": "five_hour",
                f"{PREFIX}-5h-utilization": str(five_hour),
                f"{PREFIX}-5h-reset": str(resets_at),
                f"{PREFIX}-5h-surpassed-threshold": "0.8",
                f"{PREFIX}-7d-utilization": "0.21",
                f"{PREFIX}-7d-reset": str(resets_at + 86400),
                f"{PREFIX}-overage-status": "rejected",
                f"{PREFIX}-overage-disabled-reason": "org_level_disabled",
            }
        )

    yield report
    upstream.headers.clear()


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


def test_limits(serve, tmp_path, redis, reports):
    """All callers of all gateways on a Redis see what one answer of the provider has said.

    Each sees the rates and budgets of its own key. A refusal says when the limit resets.
    """
    ceilings = {"ann": {"requests_per_minute": 9}, "bob": {"usd_per_day": 5, "admin": True}}
    settings = {**LOGIN, "REDIS_URL": redis.url}
    keyed = KeyedGateway(serve, tmp_path, ceilings, **settings)
    other = serve(API_KEYS_FILE=str(keyed.file), **{**settings, "POOL_SIZE": "0"}).wait()
    assert keyed.call("ann", "GET", "/v1/limits")[2]["logins"] == []

    reports("allowed_warning", 0.83)
    assert keyed.ask("ann", "hello", **PLAIN)[0] == 200
    status, _, data = other.call("GET", "/v1/limits", headers=keyed.header("bob"))
    body = json.loads(data)
    assert status == 200
    (login,) = body["logins"]
    assert login["status"] == "allowed_warning"
    used = {window["name"]: window["used"] for window in login["windows"]}
    assert used == {"five_hour": 0.83, "seven_day": 0.21}
    assert login["overage"]["disabled_reason"] == "org_level_disabled"
    assert "sk-ant" not in data.decode()
    assert body["key"]["rates"] == []
    assert body["key"]["budgets"]["usd_per_day"]["limit_usd"] == 5
    (rate,) = keyed.call("ann", "GET", "/v1/limits")[2]["key"]["rates"]
    assert (rate["what"], rate["limit"], rate["remains"]) == ("requests", 9, 8)
    metrics = keyed.server.call("GET", "/metrics", headers=keyed.header("bob"))[2].decode()
    assert 'claude_gateway_provider_limit_used_ratio{window="five_hour"} 0.83' in metrics

    reports("rejected", 1.0)
    status, headers, body = keyed.post("ann", "[[error 429]] hello", **PLAIN)
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 3000 < int(headers["retry-after"]) <= 3600
    (login,) = keyed.call("bob", "GET", "/v1/limits")[2]["logins"]
    assert login["status"] == "rejected"
