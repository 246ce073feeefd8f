"""The benchmark: the gateway beside `claude -p`, a bare warm process and the upstream itself.

python -m bench [ROUNDS [BURSTS [AT_ONCE]]]

Fewer rounds than it has by itself are a trial, of which nothing is kept. It exits with 1 where a
target is missed and with 2 where the machine is too noisy to judge.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.contenders import (
    BareProcess,
    ClaudePrint,
    Contender,
    Gateway,
    LongConversation,
    UpstreamDirect,
    printed,
)
from bench.cost import Cost, cost
from bench.figures import Round
from bench.footprint import sessions_bytes
from bench.load import Load, load
from bench.measure import measure
from bench.picture import draw
from bench.promises import Promises, promises
from bench.report import table, times
from bench.sessions import LATE, LaterTurn, SentAgain, SessionTurn
from bench.targets import (
    FOOTPRINT_TARGET,
    LONG_TARGET,
    PRINT,
    SESSION_TARGETS,
    TARGETS,
    Check,
    checks,
    missed,
    noises,
    too_large,
    too_slow,
)
from bench.upstream import serving
from tests.support import cli
from wrapper.services.claude.processes.profiles import QUIET, build_profiles
from wrapper.settings import Settings

RESULTS = Path(__file__).with_name("results.md")
PICTURE = RESULTS.with_suffix(".png")
KEY = "sk-bench-0123456789"
ROUNDS = 15
BURSTS = 5
AT_ONCE = 8
STREAMED = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")


def main(rounds: int = ROUNDS, bursts: int = BURSTS, at_once: int = AT_ONCE) -> int:
    with contending(partial(all_alike, at_once)) as contenders:
        single = measure(contenders, rounds, 1)
        burst = measure(contenders, bursts, at_once)
        long = measure(conversations(contenders), bursts, 1)
    with contending(later) as contenders:
        sessions = measure(contenders, rounds, 1)
    with tempfile.TemporaryDirectory() as folder:
        own = cost(Path(folder), bursts)
    with tempfile.TemporaryDirectory() as folder:
        kept = promises(Path(folder), bursts)
    found = Found(single, burst, long, sessions, sessions_bytes(), under_load(bursts), own, kept)
    code, verdict = judge(found)
    text = write(found, verdict)
    print(text)
    if code != 2 and rounds >= ROUNDS:
        RESULTS.write_text(text)
        draw(found.single, found.burst, found.checks, PICTURE)
    return code


def under_load(rounds: int) -> Load:
    with tempfile.TemporaryDirectory() as name, serving() as url:
        folder = Path(name)
        environment = furnish(folder, url)
        plain = build_profiles(Settings(claude_code_max_retries=0), environment)["plain"]
        return load(folder, url, KEY, cli.current(), plain, rounds)


@dataclass(frozen=True)
class Found:
    """All that was measured; `footprint` is in bytes."""

    single: Sequence[Round]
    burst: Sequence[Round]
    long: Sequence[Round]
    sessions: Sequence[Round]
    footprint: int
    load: Load
    cost: Cost
    promises: Promises

    @property
    def checks(self) -> list[Check]:
        return checks(self.burst, self.load, self.cost, self.promises)


@contextmanager
def contending(build: Callable[[Path, str], Iterator[Contender]]) -> Iterator[list[Contender]]:
    """Start everything that is asked, and leave nothing of it behind."""
    with tempfile.TemporaryDirectory() as folder, serving() as url, ExitStack() as started:
        contenders: list[Contender] = []
        for contender in build(Path(folder), url):
            started.callback(contender.close)
            contenders.append(contender)
        yield contenders


def all_alike(at_once: int, folder: Path, url: str) -> Iterator[Contender]:
    """Make those that answer one question by itself, as often as *at_once*."""
    environment = furnish(folder, url)
    plain = build_profiles(Settings(claude_code_max_retries=0), environment)["plain"]
    binary = cli.current()
    yield Gateway(folder / "gateway", url, KEY, at_once)
    yield ClaudePrint(PRINT, [binary, *printed(plain)], plain.variables, folder / "print")
    default = {**environment, **QUIET}
    yield ClaudePrint("claude -p, as it comes", [binary, *STREAMED], default, folder / "print")
    yield BareProcess(binary, plain, folder / "bare", at_once)
    yield UpstreamDirect(url, KEY)


def later(folder: Path, url: str) -> Iterator[Contender]:
    """Make those that answer one question after another, and what they are compared with."""
    environment = furnish(folder, url)
    profiles = build_profiles(Settings(claude_code_max_retries=0), environment)
    binary = cli.current()
    gateway = Gateway(folder / "gateway", url, KEY, 2)
    yield gateway
    plain = profiles["plain"]
    yield ClaudePrint(PRINT, [binary, *printed(plain)], plain.variables, folder / "print")
    for profile in ("agent", "plain"):
        yield LaterTurn(binary, profiles[profile], folder / "bare")
        yield from (SessionTurn(gateway, profile, number) for number in (2, LATE))
    for turns in (1, LATE):
        yield from (SentAgain(gateway, turns, goes_on=goes_on) for goes_on in (True, False))


def furnish(folder: Path, url: str) -> dict[str, str]:
    """Make directories, and return the environment of whatever is asked."""
    for name in ("gateway", "bare", "print", "home"):
        (folder / name).mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
    }


def conversations(contenders: Sequence[Contender]) -> list[Contender]:
    """Return the gateway among the contenders, at the end of long conversations."""
    (gateway,) = (one for one in contenders if isinstance(one, Gateway))
    return [LongConversation(gateway, profile) for profile in ("plain", "agent")]


def judge(found: Found) -> tuple[int, list[str]]:
    """Return the exit status and the reasons for it, told in full sentences."""
    if noise := noises(found.single):
        return 2, [f"Too noisy to judge: {reason}." for reason in noise]
    misses = [
        *missed(found.single),
        *too_slow(found.long),
        *missed(found.sessions, SESSION_TARGETS),
        *too_large(found.footprint),
        *(check for check in found.checks if not check.reached),
    ]
    if misses:
        return 1, [f"Missed: {target}." for target in misses]
    targets = (*TARGETS, LONG_TARGET, *SESSION_TARGETS, FOOTPRINT_TARGET, *found.checks)
    return 0, [f"Reached: {target}." for target in targets]


def write(found: Found, verdict: Sequence[str]) -> str:
    """Return the text of results.md."""
    single, burst, long, sessions = found.single, found.burst, found.long, found.sessions
    loaded = found.load
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return f"""# What `make bench` found

{now} UTC, {os.cpu_count()} CPUs, Python {platform.python_version()}, Claude Code {cli.version()};
`make bench`.

Medians, in brackets the quartiles; ratios are taken round by round. The scripted upstream answers
at once, in 20 deltas, so that the times are what each adds of its own. Every answer was checked.

- `gateway`: profile plain, streamed, {AT_ONCE} processes warm.
- `claude -p, plain`: with the flags and variables of that profile; the total is until it has ended.
- `claude -p, as it comes`: with its own system prompt and tools.
- `bare process`: warm, and configured with the gateway's own frames, which its time includes; it
  has not rehearsed its turn.
- `upstream`: asked directly.

## One at a time ({len(single)} rounds)

{table(single)}
## {AT_ONCE} at once ({len(burst)} rounds, of each the median of {AT_ONCE})

{table(burst)}
## At the end of a long conversation ({len(long)} rounds)

{times(long)}
## Later turns of a session ({len(sessions)} rounds)

Each turn of a session found the process of the one before it parked. "Sent again" are conversations
without a session, of which all is sent each time: those that go on found their process, too. Their
bodies are those of a fresh process, so that as much is read from the prompt cache.

{times(sessions)}
1,000 sessions of 5 turns with short messages: {found.footprint / 1024**2:.1f} MiB.

## Under load, and the gateway's own cost

{AT_ONCE} clients that ask one after another, profile plain: {loaded.fresh:.1f} turns a second on
fresh processes, of {loaded.most:.1f} that the cores can do at {loaded.cpu:.2f} s of CPU for a boot
and a turn; {loaded.recycled:.1f} on recycled ones (`POOL_RECYCLE=true`).

With an engine that costs nothing, under the same gunicorn, and with 64 clients of each kind that
send slowly, or not at all, never read, never leave, or leave at once:

{bullets(found.checks)}

![The times, and how much of what it may be each number is](results.png)

## Targets

{bullets(verdict)}
"""


def bullets(lines: Sequence[object]) -> str:
    return "\n".join(f"- {line}" for line in lines)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
