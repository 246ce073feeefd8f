"""How soon /health answers among bad clients, and how soon a killed gateway is gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults import faulty_claude
from tests.support.server import Server, alive, eventually, started_for
from tests.support.socket_client import Client, request

MANY = 64
LOOKS = 60
LOOK_SECONDS = 0.05
# The fake sends no requests, which trials of it would wait for.
SETTINGS = {"POOL_SIZE": "2", "POOL_SIZE_OTHER": "2", "TRIALS": "false"}
REFUSED = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\nmore"


@dataclass(frozen=True)
class Promises:
    """Seconds: the slowest answer of /health, and how long a killed gateway's processes lived."""

    health: float
    gone: float


def promises(folder: Path, rounds: int) -> Promises:
    """Measure both with a fake `claude` that misbehaves on request and costs next to nothing."""
    binary = faulty_claude(folder)
    with _served(folder / "pressed", binary) as pressed:
        health = _health(pressed)
    gone = []
    for number in range(rounds):
        with _served(folder / f"killed{number}", binary) as killed:
            gone.append(_gone(killed))
    return Promises(health, max(gone))


@contextmanager
def _served(home: Path, binary: str) -> Iterator[Server]:
    home.mkdir()
    server = Server(home, "http://127.0.0.1:9", CLAUDE_CLI_PATH=binary, **SETTINGS)
    try:
        yield server.wait()
    finally:
        server.stop()


def _health(server: Server) -> float:
    """Return the slowest answer of /health while MANY clients of each kind are connected."""
    data = request("hello")
    with ExitStack() as stack:

        def connect(data: bytes) -> None:
            for _ in range(MANY):
                stack.enter_context(Client(server)).send(data)

        connect(b"")  # sends nothing
        connect(data[:20])  # sends a part, and never the rest
        connect(data[:-5])
        connect(REFUSED)  # neither reads nor leaves
        connect(request("[[babble]]", stream=True))
        for _ in range(MANY):
            Client(server).send(data).reset()
        return max(_look(server) for _ in range(LOOKS))


def _look(server: Server) -> float:
    began = time.perf_counter()
    server.health()
    took = time.perf_counter() - began
    time.sleep(LOOK_SECONDS)
    return took


def _gone(server: Server) -> float:
    """Kill the whole gateway; return the seconds until nothing of it is left."""
    left = {pid for root in server.roots() for pid in started_for(root)}
    worker = server.worker
    began = time.perf_counter()
    for pid in (server.process.pid, worker):
        os.kill(pid, signal.SIGKILL)
    if not eventually(lambda: not (server.roots() or any(alive(pid) for pid in left))):
        raise RuntimeError("something of a killed gateway is left")
    return time.perf_counter() - began
