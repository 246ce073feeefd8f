"""The gateway's own cost of requests, chunks and streams, with an engine that costs nothing."""

from __future__ import annotations

import itertools
import json
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.own import MODEL
from tests.support.server import DEADLINE, ROOT, Server, eventually
from wrapper.host import resident

REQUESTS = 1000
CONNECTIONS = 4
CHUNKS = 20_000
STREAMS = 100
DEAF = 10
PAUSE = 0.1
DELTAS = 40
WAITING = 50
SETTINGS = {
    "MAX_CONCURRENT_TURNS": str(STREAMS + DEAF),
    "MAX_QUEUE": str(WAITING),
    "LOG_LEVEL": "warning",
}


@dataclass(frozen=True)
class Cost:
    """`requests`: the gateway's requests a second as a part of the bare app's. `chunk`: seconds of
    CPU time. `resident` and `waiting`: bytes, in all and for each request that waits. `gap`: the
    99th percentile of the seconds between chunks, where the engine makes PAUSE."""

    requests: float
    chunk: float
    resident: int
    waiting: int
    gap: float


def cost(folder: Path, rounds: int) -> Cost:
    """Measure everything, on servers below *folder*."""
    with served(folder, "gateway", **SETTINGS) as gateway, served(folder, "bare") as bare:
        ratios = [_rate(gateway) / _rate(bare) for _ in range(2 * rounds + 1)][1:]
        memory = resident(gateway.worker)
        chunk = statistics.median(_chunk(gateway) for _ in range(rounds))
        gap = _gap(gateway)
    with served(folder, "gateway", **SETTINGS | {"MAX_CONCURRENT_TURNS": "1"}) as full:
        waiting = _waiting(full)
    return Cost(statistics.median(ratios), chunk, memory, waiting, gap)


@contextmanager
def served(folder: Path, app: str, **settings: str) -> Iterator[Server]:
    """Serve an app of bench.own under gunicorn with the gateway's configuration."""
    home = folder / f"{app}{len(list(folder.iterdir()))}"
    home.mkdir()
    program = ("gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), f"bench.own:{app}()")
    server = Server(home, "http://127.0.0.1:9", program=program, **settings)
    try:
        server.listen().call("GET", "/health")  # once it answers, its worker is there
        yield server
    finally:
        server.stop()


def _rate(server: Server) -> float:
    """Return the requests a second that the server answers on CONNECTIONS connections."""
    data = _request("hello")
    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        each = REQUESTS // CONNECTIONS
        list(pool.map(lambda _: _hammer(server, data, each), range(CONNECTIONS)))
    return REQUESTS / (time.perf_counter() - began)


def _hammer(server: Server, request: bytes, times: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
        for _ in range(times):
            connection.sendall(request)
            data = b""
            while b"}]" not in data.partition(b"\r\n\r\n")[2]:
                data += connection.recv(65536)
            if not data.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"the server answers {data[:200]!r}")
            _read_rest(connection, data)


def _read_rest(connection: socket.socket, data: bytes) -> None:
    """Read the rest of an answer, whose length is in its head."""
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65536)


def _chunk(server: Server) -> float:
    """Return the CPU seconds of a streamed chunk."""
    began = cpu_seconds(server.worker)
    for _ in _stream(server, f"[[deltas {CHUNKS}]]"):
        pass
    return (cpu_seconds(server.worker) - began) / CHUNKS


def _gap(server: Server) -> float:
    """Return the 99th percentile of the gaps in STREAMS streams, next to DEAF that nobody reads."""
    text = f"[[deltas {DELTAS}]] [[pause {PAUSE}]]"
    with ExitStack() as deaf:
        for _ in range(DEAF):
            connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
            deaf.enter_context(connection)
            connection.sendall(_request("[[deltas 1000000]]", stream=True))
        with ThreadPoolExecutor(STREAMS) as pool:
            gaps = list(pool.map(lambda _: _gaps(server, text), range(STREAMS)))
    return statistics.quantiles((gap for of_stream in gaps for gap in of_stream), n=100)[98]


def _gaps(server: Server, text: str) -> Sequence[float]:
    times = list(_stream(server, text))
    return [after - before for before, after in itertools.pairwise(times)]


def _stream(server: Server, text: str) -> Iterator[float]:
    """Yield the time of each piece of text. Raises RuntimeError if the stream was cut."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
        connection.sendall(_request(text, stream=True))
        last = b""
        for line in connection.makefile("rb"):
            if b'"delta":{"content":' in line:
                yield time.perf_counter()
            last = line.strip() or last
            if last == b"data: [DONE]":
                return
        raise RuntimeError(f"a stream ended with {last!r}")


def _waiting(server: Server) -> int:
    """Return how many bytes the server grows by for each waiting request."""
    with ExitStack() as clients:

        def send(text: str) -> None:
            connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
            clients.enter_context(connection)
            connection.sendall(_request(text, stream=True))

        send("[[deltas 2]] [[pause 60]]")
        _await(lambda: server.health()["turns"]["running"] == 1)
        before = resident(server.worker)
        for _ in range(WAITING):
            send("hello")
        _await(lambda: server.health()["turns"]["waiting"] == WAITING)
        return (resident(server.worker) - before) // WAITING


def _await(holds: Callable[[], bool]) -> None:
    if not eventually(holds):
        raise RuntimeError("the server does not have the expected running and waiting requests")


def _request(text: str, **more: object) -> bytes:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has taken."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
