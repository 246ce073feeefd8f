"""Webhooks: each event is delivered once, by one of several workers, and after a restart."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.redis_server import RedisServer
from tests.support.server import children, eventually
from tests.support.webhooks import OTHER_SECRET, SECRET, Receiver

REFUSED = "[[error 401]]"
LEAN = {"POOL_SIZE_OTHER": "0", "DEFAULT_PROFILE": "plain", "WEBHOOK_PRIVATE_HOSTS": "127.0.0.1"}


@pytest.fixture
def receivers():
    """Return a function that opens a receiver."""
    opened: list[Receiver] = []

    def open_another(*statuses: int) -> Receiver:
        opened.append(Receiver(statuses))
        return opened[-1]

    yield open_another
    for receiver in opened:
        receiver.close()


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def operators(receivers):
    """The operator's receiver, which fails twice."""
    return receivers(503, 503)


@pytest.fixture
def keyed(serve, tmp_path, redis, operators, receivers):
    """A gateway of two workers, where the operator and alice have webhooks."""
    url = f"{receivers().url}?token=hunter2"
    return KeyedGateway(
        partial(serve, "-w", "2"),
        tmp_path,
        {"alice": {"webhook_url": url, "webhook_secret": OTHER_SECRET}, "root": {"admin": True}},
        **LEAN,
        REDIS_URL=redis.url,
        SESSION_STORE="none",
        WEBHOOK_URL=operators.url,
        WEBHOOK_SECRET=SECRET,
    )


def both_refused(keyed):
    """Ask for turns that the provider refuses, and say whether both workers have seen that."""
    with ThreadPoolExecutor(4) as threads:
        asked = threads.map(lambda _: keyed.ask("alice", REFUSED), range(4))
        assert {status for status, _ in asked} == {401}
    return keyed.server.log().count("ANTHROPIC_API_KEY is set): set") == 2


def listed(keyed, name):
    return keyed.call(name, "GET", "/v1/webhooks")[2]["data"]


def test_two_workers(keyed, operators):
    """Two workers that see the same failure deliver one event to a receiver that fails twice.

    Only the operator, whom it concerns, gets it. Secrets are shown nowhere.
    """
    assert eventually(lambda: both_refused(keyed)), keyed.server.log()
    assert eventually(operators.accepted), keyed.server.log()
    assert eventually(lambda: listed(keyed, "root")[0]["status"] == "delivered")
    (delivery,) = listed(keyed, "root")
    assert (delivery["type"], delivery["key"], delivery["attempts"]) == ("login.failed", None, 3)
    assert listed(keyed, "alice") == []
    (event,) = operators.accepted()
    assert event["data"]["method"] == "anthropic"
    assert {each.headers["webhook-id"] for each in operators.received} == {event["id"]}
    assert len(operators.received) == 3

    metrics = keyed.server.call("GET", "/metrics", headers=keyed.header("root"))[2].decode()
    counts = 'claude_gateway_webhooks_total{outcome="%s",type="login.failed"} %s'
    assert counts % ("retried", 2.0) in metrics
    assert counts % ("delivered", 1.0) in metrics
    for secret in (SECRET, OTHER_SECRET, "hunter2"):
        assert secret not in keyed.server.log() + str(delivery)


def test_killed_before_delivery(serve, tmp_path, receivers):
    """What a killed gateway had announced is delivered by the next one, once."""
    receiver = receivers(*[503] * 1000)
    settings = {
        **LEAN,
        "WEBHOOK_URL": receiver.url,
        "WEBHOOK_SECRET": SECRET,
        "USAGE_DB": str(tmp_path / "usage.db"),
    }
    killed = serve(**settings).wait()
    assert killed.ask(REFUSED)[0] == 401
    assert eventually(lambda: receiver.received)
    for pid in (killed.process.pid, *children(killed.process.pid)):
        os.kill(pid, signal.SIGKILL)
    killed.ended()

    receiver.statuses.clear()
    server = serve(**{**settings, "POOL_SIZE": "0"}).listen()
    server.health()
    assert eventually(receiver.accepted), server.log()
    assert server.ask(REFUSED)[0] == 401
    data = json.loads(server.call("GET", "/v1/webhooks")[2])["data"]
    assert [each["type"] for each in data] == ["login.failed"]
    assert server.stop() == 0
    assert len(receiver.accepted()) == 1
