"""Deleting a key's data while its turns, background responses and batches run."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from functools import partial

import pytest
from redis import Redis

from tests.live.test_batches import begin, body
from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL, ROOT, alive, eventually
from tests.support.stored_data import StoredData

CHAT = "/v1/chat/completions"
SECRET = "violet-otter"
LONG = f"[[deltas 3]] [[stall 300]] {SECRET}"
# Kinds that the tests do not fill; see tests/unit/test_key_data.py.
EMPTY = {"approvals", "webhooks", "sign_ins"}
# What was spent, whose turn it is, and random ids in the queue.
KEPT = (
    *("spent", "tool_uses", "job_ranks", "task", "schedule", "worker_states"),
    *("claude-code-gateway:usage", "claude-code-gateway:jobs:ranks", "claude-gateway:rates"),
    *("claude-code-gateway:jobs:queue", "claude-code-gateway:jobs:schedule"),
    "claude-code-gateway:workers",
)


class World(KeyedGateway):
    """A gateway with keys for alice, bob and the admin eve, and the client of each."""

    def __init__(self, start, folder, **settings):
        limits = {"alice": {}, "bob": {}, "eve": {"admin": True}}
        lean = {"POOL_SIZE_OTHER": "0", "LOG_PROMPTS": "true", "MAX_CONCURRENT_TURNS": "8"}
        super().__init__(start, folder, limits, **lean, **settings)
        self.clients = {name: self.client(name) for name in limits}

    def fill(self, name):
        """Let a key store something of each kind that is quick to make."""
        client = self.clients[name]
        self.post(name, f"[[say yes]] {SECRET}", session_id="s")
        client.responses.create(model=MODEL, input=f"[[say yes]] {SECRET}")
        client.files.create(file=("a.txt", SECRET.encode()), purpose="user_data")

    def run(self, name):
        """Begin a background response and a batch that do not end, and wait until they run."""
        client = self.clients[name]
        response = client.responses.create(model=MODEL, input=LONG, background=True)
        batch = begin(client, CHAT, body(CHAT, LONG))

        def runs():
            statuses = client.responses.retrieve(response.id), client.batches.retrieve(batch.id)
            return all(each.status == "in_progress" for each in statuses)

        assert eventually(runs)

    def close(self):
        for client in self.clients.values():
            client.close()


@pytest.fixture
def world(serve, tmp_path):
    with ExitStack() as stack:

        def start(*arguments, **settings):
            made = World(partial(serve, *arguments), tmp_path, **settings)
            stack.callback(made.close)
            return made

        yield start


def left(stored):
    """Return where alice's data is left."""
    names = stored.holding(SECRET.encode(), b"alice")
    return [name for name in names if not name.startswith(KEPT)]


@pytest.fixture
def empty_redis(redis_server):
    """The shared Redis, without what other tests have left in it."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield redis_server
        client.flushall()


def test_two_workers(world, empty_redis, background):
    """The command stops what runs in any worker, and deletes all in Redis but what bob has."""
    redis = {"SESSION_STORE": empty_redis.url, "REDIS_URL": empty_redis.url}
    gateway = world("-w", "2", DEFAULT_PROFILE="plain", **redis)
    gateway.fill("alice")
    gateway.run("alice")
    turn = background(gateway.post, "alice", LONG, session_id="other")
    stored = StoredData(gateway.server.folder, empty_redis.url)
    assert eventually(lambda: any(":lock:" in name for name in stored.holding(b"other")))

    command = ("gateway", "keys", "revoke", "alice", "--delete-data")
    result = subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi"), *command],
        env=gateway.server.environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    counts = dict(line.split(": ") for line in result.stdout.splitlines())
    assert {kind for kind, count in counts.items() if count == "0"} == EMPTY
    assert "operator has stopped this turn" in str(turn.result())
    assert left(stored) == []
    gateway.fill("bob")
    assert len(gateway.clients["bob"].files.list().data) == 1


def test_one_worker(world, background):
    """An admin deletes what SQLite, the memory and directories have, and stops what runs."""
    gateway = world()
    gateway.fill("alice")
    gateway.run("alice")
    turn = background(gateway.post, "alice", LONG, session_id="other")
    sessions = gateway.server.folder / "home/.local/state/claude-code-gateway/sessions"
    assert eventually(lambda: len([*sessions.iterdir()]) == 2)
    processes = gateway.server.claudes()

    status, _, answer = gateway.call("eve", "DELETE", "/v1/keys/alice/data")
    assert status == 200, answer
    assert answer["valid"] is True
    deleted = answer["deleted"]
    assert {kind for kind, count in deleted.items() if not count} == EMPTY
    assert "eve has stopped this turn" in str(turn.result())
    assert left(StoredData(gateway.server.folder)) == []
    assert eventually(lambda: not [*sessions.iterdir()])
    assert any(not alive(process) for process in processes)
    assert gateway.call("alice", "GET", "/v1/sessions")[2]["total"] == 0
