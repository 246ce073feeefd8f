"""Turns a second with many clients, on fresh processes and on recycled ones."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
    "fresh": ({"MAX_PARKED": "0"}, FRESH_TURNS),
    "recycled": ({"MAX_PARKED": str(AT_ONCE), "POOL_RECYCLE": "true"}, RECYCLED_TURNS),
}


@dataclass(frozen=True)
class Load:
    """Turns a second, and the CPU seconds of a boot and a turn on a bare process."""

    fresh: float
    recycled: float
    cpu: float

    @property
    def most(self) -> float:
        """Return the turns a second that the cores can do if each turn needs a boot."""
        return host.cores() / self.cpu


def load(folder: Path, url: str, key: str, binary: str, profile: Profile, rounds: int) -> Load:
    """Measure round by round, with AT_ONCE clients that ask one question after another."""
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with ExitStack() as started:
        servers = {}
        for kind, (settings, _) in KINDS.items():
            home = folder / kind
            home.mkdir()
            server = Server(home, url, ANTHROPIC_API_KEY=key, **SETTINGS, **settings)
            started.callback(server.stop)
            servers[kind] = server.wait()
        for _ in range(rounds):
            for kind, (_, turns) in KINDS.items():
                rates[kind].append(_rate(servers[kind], turns))
    cpu = statistics.median(_cpu(binary, profile, folder, rounds))
    fresh, recycled = (statistics.median(rates[kind]) for kind in KINDS)
    return Load(fresh, recycled, cpu)


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


def _cpu(binary: str, profile: Profile, root: Path, rounds: int) -> Iterator[float]:
    """Yield the CPU seconds of processes that boot, answer once, and stop."""
    for _ in range(rounds):
        before = _children()
        process = Process(profile, binary, root)
        try:
            process.boot(BOOT_SECONDS)
            converse(process, TURN, opening(process, TURN))
        finally:
            process.stop()
        yield _children() - before


def _children() -> float:
    """Return the CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
