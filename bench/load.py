"""Turns a second with many clients, on fresh processes and on recycled ones."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.answer import EXPECTED, QUESTION, WrongAnswer
from bench.contenders import BOOT_SECONDS, TURN, converse, opening
from tests.support.server import Server
from wrapper import host
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile

AT_ONCE = 8
FRESH_TURNS = 24
RECYCLED_TURNS = 120
SETTINGS = {"DEFAULT_PROFILE": "plain", "POOL_SIZE": str(AT_ONCE), "POOL_SIZE_OTHER": "0"}
KINDS = {
    "fresh": {"MAX_PARKED": "0"},
    "recycled": {"MAX_PARKED": str(AT_ONCE), "POOL_RECYCLE": "true"},
}


@dataclass(frozen=True)
class Load:
    """Turns a second, and the CPU seconds of a boot and a turn on a bare process.

    *share* is the part of the turns that the cores can do if each needs a boot. It is taken round
    by round, because the speed of the cores varies.
    """

    fresh: float
    recycled: float
    cpu: float
    share: float

    @property
    def most(self) -> float:
        """Return the turns a second that the cores can do if each turn needs a boot."""
        return host.cores() / self.cpu


def load(folder: Path, url: str, key: str, binary: str, profile: Profile, rounds: int) -> Load:
    """Measure round by round, with AT_ONCE clients that ask one question after another.

    Only one server runs at a time: the processes of another one use the cores, too.
    """
    rates, cpu = [], []
    with _serving("fresh", folder, url, key) as server:
        for _ in range(rounds):
            before = _cpu(binary, profile, folder)
            rates.append(_rate(server, FRESH_TURNS))
            server.at_rest()
            cpu.append(statistics.mean([before, _cpu(binary, profile, folder)]))
    with _serving("recycled", folder, url, key) as server:
        recycled = statistics.median(_rate(server, RECYCLED_TURNS) for _ in range(rounds))
    shares = [rate * used / host.cores() for rate, used in zip(rates, cpu, strict=True)]
    return Load(
        statistics.median(rates), recycled, statistics.median(cpu), statistics.median(shares)
    )


@contextmanager
def _serving(kind: str, folder: Path, url: str, key: str) -> Iterator[Server]:
    home = folder / kind
    home.mkdir()
    server = Server(home, url, ANTHROPIC_API_KEY=key, **SETTINGS, **KINDS[kind])
    try:
        yield server.wait()
    finally:
        server.stop()


def _rate(server: Server, turns: int) -> float:
    """Return the turns a second after the first AT_ONCE, whose processes were warm."""
    server.at_rest()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        ended = sorted(clients.map(lambda _: _ask(server), range(AT_ONCE + turns)))
    return turns / (ended[-1] - ended[AT_ONCE - 1])


def _ask(server: Server) -> float:
    """Ask for a turn, and return the time when it ended."""
    status, body = server.ask(QUESTION)
    if status != 200 or body["choices"][0]["message"]["content"] != EXPECTED:
        raise WrongAnswer(f"{status}: {body!r:.500}")
    return perf_counter()


def _cpu(binary: str, profile: Profile, root: Path) -> float:
    """Return the CPU seconds of a process that boots, answers once, and stops."""
    before = _children()
    process = Process(profile, binary, root)
    try:
        process.boot(BOOT_SECONDS, early=profile.alike)
        converse(process, TURN, opening(process, TURN))
    finally:
        process.stop()
    return _children() - before


def _children() -> float:
    """Return the CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
