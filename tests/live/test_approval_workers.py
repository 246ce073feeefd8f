"""Approvals of several workers that share a Redis, with the real Claude Code."""

from __future__ import annotations

import http.client
import os
import signal
from functools import partial

import pytest

from tests.support.approvals import decide, text_of, wait_for
from tests.support.keyed_gateway import KeyedGateway
from tests.support.live_console import LiveConsole
from tests.support.server import children, eventually
from tests.support.webhooks import SECRET, Receiver


@pytest.fixture
def receiver():
    opened = Receiver((503, 503))
    yield opened
    opened.close()


COMMAND = '[[tool Bash {"command": "echo ran > %s; echo done"}]] [[result]]'


def asking(keyed, background, file, **fields):
    """Ask for a command that writes *file* and needs an approval."""
    return background(keyed.ask, "alice", COMMAND % file, **fields)


def decide_on_any_worker(keyed, background):
    """Approve a command once and then for the session. Return the ids of the approvals."""
    waited = []
    for scope in ("once", "session"):
        asked = asking(keyed, background, "same.txt", session_id="one")
        for _ in range(4):
            (approval,) = wait_for(keyed)
        waited.append(approval["id"])
        assert approval["preview"] == "echo ran > same.txt; echo done"
        assert decide(keyed, approval, scope=scope)[0] == 200
        assert text_of(asked) == "done"
    for _ in range(4):  # on each worker
        assert "done" in str(keyed.ask("alice", COMMAND % "same.txt", session_id="one"))
    return waited


def announced(receiver, ids):
    """Expect one event for each approval of these *ids*."""
    assert eventually(lambda: len(receiver.accepted()) == 2)
    events = receiver.accepted()
    assert {event["type"] for event in events} == {"approval.waiting"}
    assert sorted(event["data"]["id"] for event in events) == sorted(ids)


def stop_on_console(keyed, background):
    console = LiveConsole(keyed.server, keyed.keys["alice"])
    asked = asking(keyed, background, "no.txt", claude={"profile": "agent"})
    (turn,) = console.turns(1)
    assert console.stop(turn) == 303
    status, body = asked.result()
    assert (status, body["error"]["code"]) == (503, "turn_stopped")


def kill_the_workers(keyed, background):
    """Kill the workers, one of which waits for an approval, which is then gone."""
    asked = asking(keyed, background, "lost.txt", claude={"profile": "agent"})
    (approval,) = wait_for(keyed)
    for worker in children(keyed.server.process.pid):
        os.kill(worker, signal.SIGKILL)
    assert isinstance(asked.exception(), (ConnectionError, http.client.HTTPException))
    wait_for(keyed, 0)
    status, body = decide(keyed, approval)
    assert (status, body["error"]["code"]) == (404, "approval_not_found")


def stop_the_server(keyed, background):
    asked = asking(keyed, background, "last.txt", claude={"profile": "agent"})
    wait_for(keyed)
    keyed.server.process.send_signal(signal.SIGTERM)
    assert text_of(asked) == "Bash was not approved: The gateway is shutting down."
    assert keyed.server.stop() == 0


def test_any_worker_decides(serve, tmp_path, redis_server, upstream, background, receiver):
    """With Redis, each worker lists and decides what another one's turn waits for.

    An approval for the session holds on each. Where commands are not confined, they wait for
    approval, which is announced once, also to a receiver that fails twice. Each worker's console
    shows the turns of all, and stops them. What a worker waited for that is killed is soon gone.
    SIGTERM denies what still waits.
    """
    stores = {"REDIS_URL": redis_server.url, "SESSION_STORE": redis_server.url}
    modes = {"CLAUDE_PERMISSION_MODE": "ask", "ALLOW_UNSANDBOXED_BASH": "true"}
    start = partial(serve, "-w", "2", POOL_SIZE_OTHER="0")
    webhook = {"webhook_url": receiver.url, "webhook_secret": SECRET}
    hosts = {"WEBHOOK_PRIVATE_HOSTS": "127.0.0.1"}
    keyed = KeyedGateway(start, tmp_path, {"alice": webhook}, **stores, **modes, **hosts)
    ids = decide_on_any_worker(keyed, background)
    announced(receiver, ids)
    stop_on_console(keyed, background)
    kill_the_workers(keyed, background)
    stop_the_server(keyed, background)
