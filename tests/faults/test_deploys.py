"""Deploys: on SIGTERM the gateway finishes its turns, and if it is killed nothing stays behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from typing import Any

import pytest

from tests.support.server import (
    FLASK,
    GUNICORN,
    alive,
    children,
    command_line,
    eventually,
    started_for,
)

HELLO = [{"role": "user", "content": "hello"}]
SOON = 25  # five times what is promised
# A tool runs one command, and another in the background in a session of its own.
COMMAND = "setsid sleep 301 & sleep 300"


@pytest.fixture
def busy(serve, upstream):
    """Return a function that starts a gateway and a turn; it returns the processes of both."""

    def start(program):
        settings = {"ALLOW_UNSANDBOXED_BASH": "true", "CLAUDE_ALLOWED_TOOLS": "Bash"}
        server = serve(program=program, POOL_SIZE="1", POOL_SIZE_OTHER="1", **settings).listen()
        command = json.dumps({"command": COMMAND, "timeout": 400_000})
        asking = threading.Thread(target=leave_alone, args=(server, f"[[tool Bash {command}]]"))
        asking.start()
        asked.append(asking)

        def both():
            found = {pid for root in server.roots() for pid in started_for(root)}
            said = " ".join(command_line(pid) for pid in found)
            return found if "sleep 300" in said and "sleep 301" in said else None

        return server, eventually(both)

    asked: list[threading.Thread] = []
    yield start
    for asking in asked:
        asking.join()


def leave_alone(server, text):
    """Ask a server that is killed meanwhile, and ignore the broken connection."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        server.ask(text)


def stop_in_mid_answer(server, upstream, text):
    """Send SIGTERM while a stream runs; return the reading thread and the list for its answer."""
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(server.stream(text)))
    asking.start()
    assert upstream.wait_for(bool)
    server.process.send_signal(signal.SIGTERM)
    return asking, answers


def test_sigterm_leaves_nothing(serve):
    """After SIGTERM no process and no directory is left."""
    server = serve().wait()
    server.ask("hello")
    claudes, folder = server.claudes(), server.folder
    assert claudes
    assert server.stop() == 0
    assert not any(alive(pid) for pid in claudes)
    assert not list((folder / "tmp").iterdir())


def test_running_turns_may_finish(serve, upstream):
    """On SIGTERM a running turn may finish within GRACEFUL_TIMEOUT."""
    server = serve(POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    asking, answers = stop_in_mid_answer(server, upstream, "[[deltas 3]] [[stall 60]]")
    assert eventually(lambda: server.call("GET", "/ready")[0] == 503)
    upstream.release()
    asking.join()
    assert answers[0][1].endswith(b"data: [DONE]\n\n")
    assert server.stop() == 0


def test_others_are_told_meanwhile(serve, upstream):
    """While a turn finishes, /ready is 503, and further turns get a 503 that says when to retry."""
    server = serve(POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    assert server.call("GET", "/ready")[0] == 200
    asking, answers = stop_in_mid_answer(server, upstream, "[[deltas 3]] [[stall 60]]")
    assert eventually(lambda: server.call("GET", "/ready")[0] == 503)
    status, headers, _ = server.call("POST", "/v1/chat/completions", {"messages": HELLO})
    assert (status, headers["retry-after"]) == (503, "1")
    assert asking.is_alive()  # neither waited for the running turn
    upstream.release()
    asking.join()
    assert answers[0][1].endswith(b"data: [DONE]\n\n")
    assert server.stop() == 0


def test_turns_that_take_too_long_are_told(serve, upstream):
    """A stream that does not finish within GRACEFUL_TIMEOUT ends with an error event."""
    server = serve(GRACEFUL_TIMEOUT="1", POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    asking, answers = stop_in_mid_answer(server, upstream, "[[deltas 3]] [[stall 50]]")
    began = time.monotonic()
    asking.join()
    assert answers[0][0][-1]["error"]["code"] == "unavailable"
    assert time.monotonic() - began < SOON
    assert server.stop() == 0
    assert upstream.wait_for(lambda seen: seen[0].ended == "aborted")


def test_killed_worker(busy):
    """If a worker is killed, its processes end soon and a new worker serves."""
    server, left = busy(GUNICORN)
    worker = server.worker
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: not any(alive(pid) for pid in left), SOON)
    assert eventually(lambda: children(server.process.pid) not in ([], [worker]))
    server.wait()
    server.at_rest()
    assert server.ask("hello")[0] == 200


@pytest.mark.parametrize("program", [GUNICORN, FLASK], ids=["gunicorn", "flask run"])
def test_killed_gateway(busy, program):
    """If the whole gateway is killed, its processes and directories are removed soon."""
    server, left = busy(program)
    for pid in {server.process.pid, server.worker}:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not any(alive(pid) for pid in left), SOON)
    assert eventually(lambda: not server.roots(), SOON)


def test_killed_with_its_reaper(serve):
    """If the reaper is killed too, the next gateway to start ends what is left."""
    first = serve(POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    left, folder = first.claudes(), first.folder / "tmp"
    reapers = [pid for pid in children(first.worker) if "reaper.py" in command_line(pid)]
    assert len(reapers) == 1
    for pid in (*reapers, first.process.pid, first.worker):
        os.kill(pid, signal.SIGKILL)
    first.process.wait()
    second = serve(POOL_SIZE="1", POOL_SIZE_OTHER="0", TMPDIR=str(folder)).wait()
    assert not any(alive(pid) for pid in left)
    assert len(second.roots()) == 1
    second.stop()
    assert not list(folder.iterdir())
