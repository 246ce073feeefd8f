"""Budgets that warn, and limits of each user below a key, with two gateways on one Redis."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.redis_server import RedisServer
from tests.support.server import eventually
from tests.support.webhooks import SECRET, Receiver

DEAR = '[[say done]] [[usage {"input_tokens": 1000}]]'  # $0.003015
CEILINGS: dict[str, dict[str, Any]] = {
    "shop": {"usd_per_day": 0.0075, "user_usd_per_day": 0.004},
    "rated": {"user_requests_per_minute": 2, "requires_user": True},
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def gateways(_servers, tmp_path_factory, redis, receiver):
    """Two gateways with the same keys on one Redis, whose operator gets events."""
    settings = {"REDIS_URL": redis.url, "POOL_SIZE": "1", "DEFAULT_PROFILE": "plain"}
    settings |= {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET}
    settings |= {"WEBHOOK_PRIVATE_HOSTS": "127.0.0.1"}
    first = KeyedGateway(_servers, tmp_path_factory.mktemp("keyed"), CEILINGS, **settings)
    return first, _servers(API_KEYS_FILE=str(first.file), **settings).wait()


@pytest.fixture
def post(gateways, upstream):
    """A function that sends a request to a gateway; it returns status, headers and body."""
    keyed, _ = gateways
    first = keyed.server

    def post(server, name, text, **fields):
        keyed.server = server
        return keyed.post(name, text, **fields)

    yield post
    keyed.server = first


def reached(*servers):
    """Return how often each threshold is logged."""
    log = "".join(server.log() for server in servers)
    lines = [line for line in log.splitlines() if "budget threshold reached" in line]
    named = [re.search(r"budget=(\w+) percent=(\d+)", line) for line in lines]
    return Counter((match[1], int(match[2])) for match in named if match)


def announced(receiver):
    """Return how often the receiver got each threshold."""
    events = [event for event in receiver.accepted() if event["data"]["key"] == "shop"]
    assert {event["type"] for event in events} <= {"budget.threshold_reached"}
    return Counter((event["data"]["budget"], event["data"]["percent"]) for event in events)


def test_warnings(gateways, post, receiver):
    """Users and keys are held to budgets at both gateways, and warned before, also in streams.

    Each threshold is logged and announced once, whichever gateway finds it.
    """
    keyed, other = gateways
    first = keyed.server

    def ask(server, text, user):
        status, headers, body = post(server, "shop", text, user=user)
        return status, headers.get("x-budget-warnings"), body.get("error", {}).get("message")

    assert ask(first, DEAR, "ann@example.com") == (200, None, None)
    warned = (200, "usd_per_day=80, user_usd_per_day=100", None)
    assert ask(other, DEAR, "ann@example.com") == warned
    status, warnings, message = ask(first, "hello", "ann@example.com")
    assert (status, warnings) == (429, "usd_per_day=80, user_usd_per_day=100")
    assert "The budget user_usd_per_day of the request's user" in message
    *_, last = first.stream(DEAR, headers=keyed.header("shop"), user="ben")[0]
    assert last["notes"]["x-budget-warnings"] == "usd_per_day=100"
    status, warnings, message = ask(other, "hello", "cora")
    assert (status, warnings) == (429, "usd_per_day=100")
    assert "The budget usd_per_day of the key 'shop'" in message

    budgets = ("usd_per_day", "user_usd_per_day")
    each_once = {(budget, percent): 1 for budget in budgets for percent in (80, 90, 100)}
    assert eventually(lambda: reached(first, other) == each_once)
    assert "ann@example" not in first.log() + other.log()
    assert eventually(lambda: announced(receiver) == each_once)
    report = keyed.usage("shop")
    assert report["forecast"]["day"]["spent_usd"] == pytest.approx(3 * 0.003015)
    assert report["budgets"]["usd_per_day"]["exhausted_at"] is None


def test_rates(gateways, post):
    """A user's rate counts at both gateways, and a key may require that requests name a user."""
    keyed, other = gateways
    for server in (keyed.server, other):
        assert post(server, "rated", "hello", user="ann")[0] == 200
    status, headers, body = post(other, "rated", "hello", user="ann")
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert post(other, "rated", "hello", user="ben")[0] == 200
    assert post(other, "rated", "hello")[2]["error"]["param"] == "safety_identifier"
