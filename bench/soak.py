"""Soak test: mixed traffic with faults, after which the gateway must hold no more than before.

python -m bench.soak [SECONDS]

It exits with 1 if a turn is lost, an answer is wrong, or something has grown. A run of at least
SECONDS is written to soak.log; a shorter one is a trial.
"""

from __future__ import annotations

import os
import platform
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.hostile_traffic import HOSTILE
from bench.keys import write_keys
from bench.traffic import KINDS as USUAL
from bench.traffic import LEFT, Asker, Wrong
from bench.upstream import serving
from tests.support import cli
from tests.support.server import Server
from wrapper.host import resident

KINDS = {**USUAL, **HOSTILE}
LOG = Path(__file__).with_name("soak.log")
SECONDS = 1800
WARMING_SECONDS = 15
CLIENTS = 6
KILL_SECONDS = 7
REPORTS = 10
# Between reports there are at least this many seconds, in which several processes are killed.
REPORT_SECONDS = 4 * KILL_SECONDS
SETTINGS = {
    "POOL_SIZE": "2",
    "POOL_SIZE_OTHER": "2",
    "MAX_PARKED": "2",
    "MAX_CONCURRENT_TURNS": str(CLIENTS * 2),
    "MAX_TIMEOUT": "15000",
    "LOG_LEVEL": "warning",
}
MIB = 1024**2
# How much these may grow although nothing leaks: a heap never shrinks completely, SQLite restarts
# its log at 4 MiB, thread pools keep threads up to a bound, Claude Code has more files after its
# first question, and a connection may just be closing.
TOLERANCE = {"memory": 24 * MIB, "disk": 5 * MIB, "threads": 16, "inodes": 40, "descriptors": 4}


class Outcomes:
    """The outcomes of requests, and when Claude Code's processes were killed; thread-safe."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.faults: list[str] = []
        self._kills: list[float] = []
        self._lock = threading.Lock()

    def add(self, end: str, fault: str = "") -> None:
        with self._lock:
            self.ends[end] += 1
            if fault:
                self.faults.append(f"{end}: {fault}")
                print(self.faults[-1], flush=True)

    def killed(self) -> None:
        with self._lock:
            self._kills.append(time.monotonic())

    def any_killed(self, since: float) -> bool:
        """Return whether a process was killed since then, which may have made a turn fail."""
        with self._lock:
            return any(kill >= since for kill in self._kills)


def ask(server: Server, chance: random.Random, outcomes: Outcomes) -> None:
    """Send one request of a random kind, and record its outcome."""
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    began = time.monotonic()
    try:
        outcomes.add(kind(Asker(server, chance)) or "as expected")
    except Wrong as error:
        ended_by_kill = "bad_gateway" in str(error) and outcomes.any_killed(began)
        outcomes.add("ended by a kill") if ended_by_kill else outcomes.add("wrong", str(error))
    except LEFT as error:
        outcomes.add("lost", f"{kind.__name__}: {error!r}")


def send_traffic(server: Server, seconds: float, seed: int, outcomes: Outcomes) -> None:
    """Let CLIENTS send requests for *seconds*, while processes are killed."""
    until = time.monotonic() + seconds
    over = threading.Event()

    def client(number: int) -> None:
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - no secret
        while time.monotonic() < until:
            ask(server, chance, outcomes)

    def killer() -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret
        while not over.wait(KILL_SECONDS):
            if running := server.claudes():
                with suppress(ProcessLookupError):
                    outcomes.killed()
                    os.kill(chance.choice(running), signal.SIGKILL)

    killing = threading.Thread(target=killer)
    killing.start()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(client, range(CLIENTS)))
    over.set()
    killing.join()


@dataclass(frozen=True)
class Holdings:
    """What the gateway holds at rest: processes, files, memory and others, by name."""

    held: dict[str, int]

    def grown(self, later: Holdings) -> list[str]:
        """Return what has grown in *later* by more than TOLERANCE, with both numbers."""
        return [
            f"{name}: grown from {before:,} to {later.held[name]:,}"
            for name, before in self.held.items()
            if later.held[name] > before + TOLERANCE.get(name, 0)
        ]


def holdings(server: Server) -> Holdings:
    held = server.at_rest()
    files = [path for name in ("home", "tmp", "cwd") for path in paths_in(server.folder / name)]
    disk = 0
    for path in files:
        with suppress(OSError):
            disk += path.lstat().st_blocks * 512
    more = {"memory": resident(server.worker), "disk": disk, "inodes": len(files)}
    return Holdings({**held, **more})


def paths_in(folder: Path) -> Iterator[Path]:
    """Yield all that is in *folder*, whose directories may be removed meanwhile."""
    for parent, directories, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*directories, *files))


@contextmanager
def soaking() -> Iterator[Server]:
    """Start a gateway in front of a scripted upstream, and stop both at the end."""
    with tempfile.TemporaryDirectory(prefix="soak") as folder, serving() as url:
        keys_file = Path(folder, "keys.toml")
        write_keys(keys_file)
        server = Server(Path(folder), url, API_KEYS_FILE=str(keys_file), **SETTINGS)
        try:
            yield server.wait()
        finally:
            server.stop()


def main(seconds: float = SECONDS) -> int:
    with soaking() as server:
        send_traffic(server, WARMING_SECONDS, 0, Outcomes())
        outcomes, samples = Outcomes(), [holdings(server)]
        parts = max(1, min(REPORTS, int(seconds / REPORT_SECONDS)))
        for part in range(1, parts + 1):
            send_traffic(server, seconds / parts, part, outcomes)
            samples.append(holdings(server))
            print(f"{part}/{parts}", *row(samples[-1]), dict(outcomes.ends), flush=True)
        log = server.log()
    faults = [*outcomes.faults, *samples[0].grown(samples[-1])]
    faults += ["a traceback in the log"] if "Traceback" in log else []
    text = write(seconds, outcomes, samples, faults)
    print(text)
    if seconds >= SECONDS:
        LOG.write_text(text)
    return 1 if faults else 0


def row(sample: Holdings) -> list[str]:
    return [f"{name} {number:,}" for name, number in sample.held.items()]


def write(seconds: float, outcomes: Outcomes, samples: list[Holdings], faults: list[str]) -> str:
    """Return the text of soak.log."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    names = list(samples[0].held)
    columns = [" ".join(f"{name:>12}" for name in ("after", *names))]
    for part, sample in enumerate(samples):
        minutes = f"{part * seconds / max(1, len(samples) - 1) / 60:.1f} min"
        columns.append(
            " ".join([f"{minutes:>12}", *(f"{sample.held[name]:>12,}" for name in names)])
        )
    ends = [f"{number:>8,}  {end}" for end, number in sorted(outcomes.ends.items())]
    return "\n".join(
        [
            f"{now} UTC, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
            f"Claude Code {cli.version()}; make soak SOAK_SECONDS={seconds:g}",
            f"{CLIENTS} clients; a process of Claude Code killed every {KILL_SECONDS} s",
            "",
            "What the gateway held at rest; memory and disk in bytes",
            *columns,
            "",
            f"{outcomes.ends.total():,} requests",
            *ends,
            f"{outcomes.ends['lost']:>8,}  turns lost",
            f"{outcomes.ends['wrong']:>8,}  answers wrong",
            "",
            *(faults or ["Nothing lost, nothing wrong, nothing grown."]),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
