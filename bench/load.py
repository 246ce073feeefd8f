"""Turns a second with many clients, on fresh processes, on recycled ones, and of `claude -p`."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from bench.answer import EXPECTED, QUESTION, WrongAnswer
from bench.bare_process import BOOT_SECONDS, TURN, ClaudePrint, converse, opening
from tests.support import cli
from tests.support.server import Server
from wrapper import host
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile

AT_ONCE = 8
FRESH_TURNS = 24
RECYCLED_TURNS = 120
PRINTED_TURNS = 16
KINDS = {
    "fresh": {"MAX_PARKED": "0", "POOL_SIZE": str(AT_ONCE), "POOL_SIZE_OTHER": "0"},
    "recycled": {},  # the default settings
}


@dataclass(frozen=True)
class Load:
    """Turns a second, and the CPU seconds of a boot and a turn on a bare process.

    *fresh* and *recycled* are the gateway's turns, *printed* those of `claude -p` as it comes.
    *share* is the part of the turns that the cores can do if each needs a boot. It is taken round
    by round, because the speed of the cores varies.
    """

    fresh: float
    recycled: float
    printed: float
    cpu: float
    share: float

    @property
    def most(self) -> float:
        """Return the turns a second that the cores can do if each turn needs a boot."""
        return host.cores() / self.cpu


def load(
    folder: Path, url: str, key: str, profile: Profile, print_: ClaudePrint, rounds: int
) -> Load:
    """Measure round by round, with AT_ONCE clients that ask one question after another.

    Only one server runs at a time: the processes of another one use the cores, too.
    """
    rates, cpu, binary = [], [], cli.current()
    with _serving("fresh", folder, url, key) as server:
        for _ in range(rounds):
            before = _cpu(binary, profile, folder)
            rates.append(rate_of(server, FRESH_TURNS))
            server.at_rest()
            cpu.append(statistics.mean([before, _cpu(binary, profile, folder)]))
    with _serving("recycled", folder, url, key) as server:
        recycled = statistics.median(rate_of(server, RECYCLED_TURNS) for _ in range(rounds))
    printed = statistics.median(_rate(print_.ask, PRINTED_TURNS) for _ in range(rounds))
    shares = [rate * used / host.cores() for rate, used in zip(rates, cpu, strict=True)]
    used, share = statistics.median(cpu), statistics.median(shares)
    return Load(statistics.median(rates), recycled, printed, used, share)


@contextmanager
def _serving(kind: str, folder: Path, url: str, key: str) -> Iterator[Server]:
    home = folder / kind
    home.mkdir()
    server = Server(home, url, ANTHROPIC_API_KEY=key, DEFAULT_PROFILE="plain", **KINDS[kind])
    try:
        yield server.wait()
    finally:
        server.stop()


def rate_of(server: Server, turns: int) -> float:
    server.at_rest()
    return _rate(partial(_ask, server), turns)


def _rate(ask: Callable[[], object], turns: int) -> float:
    """Return the turns a second after the first AT_ONCE, whose processes may be warm."""

    def end(_: int) -> float:
        ask()
        return perf_counter()

    with ThreadPoolExecutor(AT_ONCE) as clients:
        ended = sorted(clients.map(end, range(AT_ONCE + turns)))
    return turns / (ended[-1] - ended[AT_ONCE - 1])


def _ask(server: Server) -> None:
    status, body = server.ask(QUESTION)
    if status != 200 or body["choices"][0]["message"]["content"] != EXPECTED:
        raise WrongAnswer(f"{status}: {body!r:.500}")


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
