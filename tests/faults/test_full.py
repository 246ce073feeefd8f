"""A full gateway: waiting requests are served in order, and everybody learns what happens."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.faults import ask, asked, outcome
from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import alive, eventually
from tests.support.socket_client import Client, request

PLACES, QUEUE = 2, 3
SOON = 10.0  # much less than QUEUE_TIMEOUT
FULL = {
    "MAX_CONCURRENT_TURNS": str(PLACES),
    "MAX_QUEUE": str(QUEUE),
    "POOL_SIZE": "1",
    "POOL_SIZE_OTHER": "2",
}


@pytest.fixture(scope="module")
def _full_gateway(_servers, faulty_claude):
    return _servers(CLAUDE_CLI_PATH=faulty_claude, **FULL, QUEUE_TIMEOUT="50").wait()


@pytest.fixture
def crowd(_full_gateway):
    """Clients that fill all places and the queue of a gateway, which comes to rest afterwards."""
    server = _full_gateway
    server.at_rest()
    clients = []
    for number in range(PLACES + QUEUE):
        clients.append(Client(server).send(request("hello [[begin]]", stream=True)))
        assert comes_to(server, min(number + 1, PLACES), max(0, number + 1 - PLACES))
    assert eventually(lambda: len(asked(server)) == PLACES)
    yield Crowd(server, clients)
    for client in clients:
        client.close()
    assert comes_to(server, 0, 0)


class Crowd:
    def __init__(self, server, clients):
        self.server = server
        self.running, self.waiting = clients[:PLACES], clients[PLACES:]


def load(server):
    turns = server.health()["turns"]
    return turns["running"], turns["waiting"]


def comes_to(server, running, waiting):
    """Say whether the gateway comes to have so many running and waiting turns."""
    return eventually(lambda: load(server) == (running, waiting))


def test_next_request(crowd):
    """The next turn is refused with Retry-After, /health and /v1/models answer; no turn ends."""
    server = crowd.server
    body = {"messages": [{"role": "user", "content": "hello"}]}
    for method, path, sent, wanted in (
        ("POST", "/v1/chat/completions", body, 429),
        ("GET", "/health", None, 200),
        ("GET", "/v1/models", None, 200),
    ):
        began = time.monotonic()
        status, headers, data = server.call(method, path, sent)
        assert (status, time.monotonic() - began < SOON) == (wanted, True)
        if status == 429:
            assert json.loads(data)["error"]["code"] == "rate_limit_exceeded"
            assert 1 <= int(headers["retry-after"]) <= 60
    assert load(server) == (PLACES, QUEUE)


def test_who_waits_is_served(crowd):
    """A free place goes to the request that has waited longest."""
    crowd.running[0].close()
    assert b'"content":"ok"' in crowd.waiting[0].read_until(b'"content":"ok"')
    assert load(crowd.server) == (PLACES, QUEUE - 1)


def test_who_leaves_is_not(crowd):
    """A waiting client that disconnects gives up its place, and its turn is never begun."""
    server = crowd.server
    before = set(asked(server))
    crowd.waiting[0].reset()
    crowd.waiting[1].close()
    assert comes_to(server, PLACES, QUEUE - 2)
    with ThreadPoolExecutor() as pool:
        next_one = pool.submit(ask, server, "hello")
        assert comes_to(server, PLACES, QUEUE - 1)
        crowd.running[0].close()
        crowd.waiting[2].read_until(b'"content":"ok"')
        assert len(set(asked(server)) - before) == 1
        crowd.waiting[2].close()
        assert outcome(*next_one.result()) == (200, None)


def test_those_that_run_die(crowd):
    """Places of turns whose process dies go to waiting requests."""
    for pid in asked(crowd.server):
        os.kill(pid, signal.SIGKILL)
    for client in crowd.waiting[:PLACES]:
        client.read_until(b'"content":"ok"')
    assert load(crowd.server) == (PLACES, QUEUE - PLACES)


def test_queue_timeout(serve, faulty_claude):
    """A request that has waited for QUEUE_TIMEOUT is refused with Retry-After."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, **FULL, QUEUE_TIMEOUT="1").wait()
    with Client(server) as one, Client(server) as two:
        for client in (one, two):
            client.send(request("[[begin]]", stream=True)).read_until(b'"content":"ok"')
        began = time.monotonic()
        status, body = ask(server, "hello")
        assert outcome(status, body) == (429, "rate_limit_exceeded")
        assert "after 1 s (QUEUE_TIMEOUT)" in body["error"]["message"]
        assert time.monotonic() - began >= 1


def test_shutdown(serve, faulty_claude):
    """On SIGTERM waiting requests are refused at once, and their turns are never begun."""
    server = serve(CLAUDE_CLI_PATH=faulty_claude, **FULL, GRACEFUL_TIMEOUT="2").wait()
    clients = [Client(server).send(request("[[begin]]", stream=True)) for _ in range(PLACES + 1)]
    assert comes_to(server, PLACES, 1)
    assert eventually(lambda: len(asked(server)) == PLACES)
    ran = asked(server)
    server.process.send_signal(signal.SIGTERM)
    said = [client.read_until(b'"unavailable"') for client in clients]
    assert sum(one.startswith(b"HTTP/1.1 503 ") for one in said) == 1
    assert all(b'"code":"unavailable"' in one for one in said)
    assert server.stop() == 0
    assert not any(alive(pid) for pid in ran)
    for client in clients:
        client.close()


def test_keys_take_turns(serve, tmp_path, faulty_claude):
    """A key with one request does not wait for all earlier requests of another key."""
    settings = {**FULL, "MAX_CONCURRENT_TURNS": "1", "MAX_QUEUE": "9"}
    keyed = KeyedGateway(
        serve, tmp_path, {"alice": {}, "bob": {}}, CLAUDE_CLI_PATH=faulty_claude, **settings
    )
    server = keyed.server
    plain = {"claude": {"profile": "plain"}}
    with Client(server) as first, ThreadPoolExecutor() as pool:
        head = f"Authorization: Bearer {keyed.keys['alice']}\r\nContent-Type"
        asked_first = request("[[begin]]", stream=True).replace(b"Content-Type", head.encode(), 1)
        first.send(asked_first).read_until(b'"content":"ok"')
        turns = []
        for number, name in enumerate(("alice",) * 4 + ("bob",)):
            turns.append(pool.submit(keyed.ask, name, "hello", **plain))
            assert comes_to(server, 1, number + 1)
        first.close()
        assert {turn.result()[0] for turn in turns} == {200}
    assert eventually(lambda: len(keys_logged(server)) == 6)
    assert keys_logged(server)[1:].index("bob") <= 2  # the log lines of two turns may cross


def keys_logged(server):
    """Return the key of each turn in the log."""
    return re.findall(r" key=(\w+)", server.log())
