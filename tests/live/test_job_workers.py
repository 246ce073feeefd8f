"""The command `worker` on the real Claude Code, beside a gateway that runs no jobs itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.live.test_background_responses import LONG, Client, cancelled
from tests.live.test_batches import begin, body, ended, results
from tests.support.server import DEADLINE, ROOT, connected, eventually

CHAT = "/v1/chat/completions"
SLOW = "[[deltas 40]] [[pause 0.1]]"
LEAN = {"DEFAULT_PROFILE": "plain", "POOL_SIZE": "0", "POOL_SIZE_OTHER": "0"}


@pytest.fixture
def start_worker(serve, redis_server):
    """Return a function that starts a worker with room for two jobs of a key and one more."""

    def start():
        worker = serve(
            program=("wrapper", "worker"),
            SESSION_STORE=redis_server.url,
            BACKGROUND_TURNS="3",
            GRACEFUL_TIMEOUT="60",
            POOL_RECYCLE="true",
            **LEAN,
        )
        assert eventually(lambda: "the worker runs 3 jobs" in worker.log()), worker.log()
        return worker

    return start


@pytest.fixture
def client(serve, redis_server):
    """Return a client of a gateway that runs no jobs, and boots no Claude Code for them."""
    settings = {"BACKGROUND_TURNS": "0", **LEAN}
    server = serve(SESSION_STORE=redis_server.url, **settings).wait()
    with Client(server) as client:
        yield client
    assert not server.claudes()


def busy(worker):
    """Return how many requests of the worker's have reached the model."""
    return sum(connected([pid]) is not None for pid in worker.claudes())


def asked_lines(raw):
    """Return the numbers of the lines that a request to the model has in it."""
    return [int(number) for number in re.findall(rb"line (\d)", raw)]


def followed(client):
    """Poll and stream a response that runs."""
    response = client.begin("[[deltas 20]] [[pause 0.05]]")
    client.until_text(response)
    assert client.responses.retrieve(response).status in ("in_progress", "completed")
    events = [*client.follow(response)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text.endswith(" w20")


def stopped_and_killed(client, workers):
    """Kill one of two busy *workers* and stop the other.

    Return the response and the batch that ran in them, and how many lines of it are answered.
    """
    lost = client.begin(LONG)
    client.until_text(lost)
    killed, stopped = sorted(workers, key=busy, reverse=True)
    lines = [body(CHAT, f"{SLOW} line {number}") for number in range(8)]
    batch = begin(client, CHAT, *lines)
    assert eventually(lambda: (busy(killed), busy(stopped)) == (2, 2)), killed.log() + stopped.log()
    killed.process.send_signal(signal.SIGKILL)
    stopped.process.send_signal(signal.SIGTERM)
    assert stopped.ended() == 0, stopped.log()
    answered = client.batches.retrieve(batch.id).request_counts.completed
    assert answered >= 2
    return lost, batch, answered


def ended_but_one(client, batch):
    """Wait until the *batch* has ended, one of whose lines was lost with its worker."""
    batch = ended(client, batch.id)
    counts = batch.request_counts
    assert (batch.status, counts.completed, counts.failed) == ("completed", 7, 1)
    (error,) = results(client, batch.error_file_id)
    assert error["error"]["code"] == "worker_lost"
    answered = {line["custom_id"] for line in results(client, batch.output_file_id)}
    assert answered | {error["custom_id"]} == {f"n{number}" for number in range(8)}


def test_workers(client, start_worker, upstream):
    """Responses are polled, streamed and cancelled from a gateway, while workers run them.

    A killed worker's response and lines fail, a stopped one's finish, and others go on.
    """
    workers = [start_worker(), start_worker()]
    followed(client)
    cancelled(client, lambda: [pid for worker in workers for pid in worker.claudes()])
    lost, batch, answered = stopped_and_killed(client, workers)
    other = start_worker()
    response = client.ended(lost, "failed")
    assert (response.error.code, response.output_text) == ("worker_lost", "w1")
    ended_but_one(client, batch)
    assert other.log().count("outcome=done") == 7 - answered
    asked = [number for request in upstream.requests for number in asked_lines(request.raw)]
    assert Counter(asked) == Counter(range(8))


def test_refused_settings(tmp_path):
    """A worker without a store that others share, or without jobs, says so and does not start."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "WRAPPER_ENGINE": "claude",
        "CLAUDE_CLI_PATH": "/bin/true",
        "BACKGROUND_TURNS": "0",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "wrapper", "worker"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert ended.returncode == 1
    assert "SESSION_STORE: several workers do not share memory" in ended.stderr
    assert "BACKGROUND_TURNS: 0 runs no jobs" in ended.stderr
