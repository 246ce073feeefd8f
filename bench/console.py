"""Measure what an open console costs callers: requests a second, and the time to the first token.

python -m bench.console [ROUNDS]

The model costs nothing, so that nearly all of the time is the gateway's. Each round asks with an
open console and without one, by turns first. It exits with 1 if there are fewer requests a second,
or later first tokens, by more than MOST.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.cost import served
from bench.own import MODEL
from tests.support.server import DEADLINE, Server

MOST = 0.03
ROUNDS = 60
CLIENTS = 4
# Of a measurement. A console looks for changes every 2 s.
SECONDS = 2.2
# A console follows the overview.
LIVE = b"GET /console/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
FIRST, LAST = b'"w1"', b"0\r\n\r\n"


@dataclass(frozen=True)
class Speed:
    """Requests a second, and the median of the seconds until the first token."""

    rate: float
    first_token: float


@dataclass(frozen=True)
class Cost:
    """How much an open console changes both, as parts of what they are without it."""

    rate: float
    first_token: float

    @property
    def too_much(self) -> bool:
        return self.rate < -MOST or self.first_token > MOST

    def __str__(self) -> str:
        return (
            f"with an open console: requests a second {self.rate:+.1%}, "
            f"time to the first token {self.first_token:+.1%}"
        )


def main(rounds: int = ROUNDS) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="console") as folder,
        served(Path(folder), "gateway", LOG_LEVEL="warning") as server,
    ):
        speed(server)
        cost = cost_of(list(measure(server, rounds)))
    print(cost)
    return 1 if cost.too_much else 0


def measure(server: Server, rounds: int) -> Iterator[tuple[Speed, Speed]]:
    """Yield the speed without a console and with one, round by round."""
    for number in range(rounds):
        speeds = {}
        for is_open in (False, True) if number % 2 else (True, False):
            with console(server) if is_open else nullcontext():
                speeds[is_open] = speed(server)
        yield speeds[False], speeds[True]


def cost_of(measured: Sequence[tuple[Speed, Speed]]) -> Cost:
    """Return the medians of the rounds' ratios; the machine is not equally fast in all rounds."""
    return Cost(
        statistics.median(beside.rate / alone.rate for alone, beside in measured) - 1,
        statistics.median(beside.first_token / alone.first_token for alone, beside in measured) - 1,
    )


def speed(server: Server) -> Speed:
    """Measure the streams of CLIENTS, each of which reads one after another."""
    began = perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        first_tokens = [
            seconds
            for client in clients.map(lambda _: ask(server), range(CLIENTS))
            for seconds in client
        ]
    return Speed(len(first_tokens) / (perf_counter() - began), statistics.median(first_tokens))


def ask(server: Server) -> list[float]:
    """Read one stream after another on a connection, and return the times of their first tokens."""
    messages = [{"role": "user", "content": "[[deltas 3]]"}]
    body = json.dumps({"model": MODEL, "messages": messages, "stream": True}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = f"{head}{fields}".encode() + body
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
        until = perf_counter() + SECONDS
        times = []
        while perf_counter() < until:
            times.append(_first_token(connection, request))
        return times


def _first_token(connection: socket.socket, request: bytes) -> float:
    began = perf_counter()
    connection.sendall(request)
    data = _read_until(connection, FIRST, b"")
    seconds = perf_counter() - began
    _read_until(connection, LAST, data)
    return seconds


def _read_until(connection: socket.socket, end: bytes, data: bytes) -> bytes:
    while end not in data:
        if not (more := connection.recv(65536)):
            raise RuntimeError(f"the stream has ended: {data!r:.500}")
        data += more
    return data


@contextmanager
def console(server: Server) -> Iterator[None]:
    """Keep an overview open, as a browser does."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
        connection.sendall(LIVE)
        _read_until(connection, b"\ndata: ", b"")
        reader = threading.Thread(target=_drain, args=(connection,))
        reader.start()
        try:
            yield
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            reader.join()


def _drain(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
