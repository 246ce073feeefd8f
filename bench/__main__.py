"""The benchmark: the gateway beside `claude -p`, a bare warm process and the upstream itself.

python -m bench [ROUNDS [BURSTS [AT_ONCE]]]

With fewer rounds than ROUNDS it is a trial and writes no files. It exits with 1 if a target is
missed, and with 2 if the machine is too noisy to judge.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.bare_process import BareProcess, ClaudePrint, printed
from bench.bare_turns import LATE, BareTurn, RepeatedTurn
from bench.batches import BatchRound, batches
from bench.contenders import AgentTurn, Contender, Gateway, LongConversation, UpstreamDirect
from bench.cost import cost
from bench.figures import Round
from bench.first_turns import FirstTurn, add_keys
from bench.footprint import sessions_bytes
from bench.fronts import Fronts, event_ratios, front_turns
from bench.load import Load, load
from bench.mcp import WITH, WITHOUT, McpTurn, configured
from bench.measure import measure
from bench.picture import draw
from bench.promises import promises
from bench.report import report
from bench.results import AT_ONCE, TOO_NOISY, Results, judge
from bench.sessions import SentAgain, SessionTurn
from bench.targets import AS_IT_COMES, PRINT
from bench.upstream import serving
from tests.support import cli
from wrapper.services.claude.processes.profiles import QUIET, build_profiles
from wrapper.settings import Settings

REPORT = Path(__file__).with_name("results.md")
PICTURE = REPORT.with_suffix(".png")
KEY = "sk-bench-0123456789"
ROUNDS = 15
BURSTS = 5
STREAMED = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")


def main(rounds: int = ROUNDS, bursts: int = BURSTS, at_once: int = AT_ONCE) -> int:
    results = run(rounds, bursts, at_once)
    code, verdict = judge(results)
    text = report(results, verdict)
    print(text)
    if code != TOO_NOISY and rounds >= ROUNDS:
        REPORT.write_text(text)
        draw(results.single, results.burst, results.checks, PICTURE)
    return code


def run(rounds: int, bursts: int, at_once: int) -> Results:
    """Measure everything, one part after another."""
    with contending(partial(single_questions, at_once)) as contenders:
        single = measure(contenders, rounds, 1)
        burst = measure(contenders, bursts, at_once)
        long = measure(conversations(contenders), bursts, 1)
    with contending(later_turns) as contenders:
        sessions = measure(contenders, rounds, 1)
    with contending(first_turns) as contenders:
        firsts = measure(contenders[1:], rounds, 1)
    fronts = both_fronts(rounds, bursts)
    mcp = beside_a_server(rounds)
    with tempfile.TemporaryDirectory() as folder:
        own_cost = cost(Path(folder), bursts)
    with tempfile.TemporaryDirectory() as folder:
        kept = promises(Path(folder), bursts)
    loaded = under_load(bursts)
    batch_rounds = beside_batches(bursts)
    footprint = sessions_bytes()
    return Results(
        single,
        burst,
        long,
        sessions,
        firsts,
        footprint,
        loaded,
        own_cost,
        fronts,
        mcp,
        kept,
        batch_rounds,
    )


def both_fronts(rounds: int, repetitions: int) -> Fronts:
    """Measure the Responses API beside chat completions."""
    with contending(fronts_of_a_gateway) as contenders:
        measured = measure(contenders[1:], rounds, 1)
    with tempfile.TemporaryDirectory() as folder:
        return Fronts(measured, event_ratios(Path(folder), repetitions))


def fronts_of_a_gateway(folder: Path, url: str) -> Iterator[Contender]:
    """Yield a gateway, and the contenders that ask it."""
    make_folders(folder, url)
    gateway = Gateway(folder / "gateway", url, KEY, 1)
    yield gateway
    yield from front_turns(gateway)


def beside_a_server(rounds: int) -> Sequence[Round]:
    """Measure agents' turns with an MCP server beside those without."""
    with (
        tempfile.TemporaryDirectory() as folder,
        configured(Path(folder)) as config,
        contending(partial(turns_with_a_server, config)) as contenders,
    ):
        return measure(contenders[1:], rounds, 1)


def turns_with_a_server(config: str, folder: Path, url: str) -> Iterator[Contender]:
    """Yield a gateway with the servers of *config*, and agents' turns of it."""
    make_folders(folder, url)
    # A process that had the servers serves no other turn, so that all turns have a fresh one.
    gateway = Gateway(folder / "gateway", url, KEY, 1, MCP_CONFIG=config, POOL_RECYCLE="false")
    yield gateway
    yield from (McpTurn(gateway, name) for name in (WITHOUT, WITH))


def beside_batches(rounds: int) -> Sequence[BatchRound]:
    """Measure batches, and the first token of clients beside them."""
    with tempfile.TemporaryDirectory() as folder, serving() as url:
        return batches(Path(folder), url, KEY, rounds)


def under_load(rounds: int) -> Load:
    with tempfile.TemporaryDirectory() as name, serving() as url:
        folder = Path(name)
        environment = make_folders(folder, url)
        plain = build_profiles(Settings(claude_code_max_retries=0), environment)["plain"]
        return load(folder, url, KEY, plain, as_it_comes(folder, environment), rounds)


@contextmanager
def contending(build: Callable[[Path, str], Iterator[Contender]]) -> Iterator[list[Contender]]:
    """Start the contenders, and close all of them at the end."""
    with tempfile.TemporaryDirectory() as folder, serving() as url, ExitStack() as started:
        contenders: list[Contender] = []
        for contender in build(Path(folder), url):
            started.callback(contender.close)
            contenders.append(contender)
        yield contenders


def single_questions(at_once: int, folder: Path, url: str) -> Iterator[Contender]:
    """Yield contenders that answer a question by itself, up to *at_once* at the same time."""
    environment = make_folders(folder, url)
    plain = build_profiles(Settings(claude_code_max_retries=0), environment)["plain"]
    binary = cli.current()
    gateway = Gateway(folder / "gateway", url, KEY, at_once)
    yield gateway
    yield AgentTurn(gateway)
    yield ClaudePrint(PRINT, [binary, *printed(plain)], plain.variables, folder / "print")
    yield as_it_comes(folder, environment)
    yield BareProcess(binary, plain, folder / "bare", at_once)
    yield UpstreamDirect(url, KEY)


def as_it_comes(folder: Path, environment: dict[str, str]) -> ClaudePrint:
    """Return `claude -p` with its own system prompt and tools."""
    command = [cli.current(), *STREAMED]
    return ClaudePrint(AS_IT_COMES, command, {**environment, **QUIET}, folder / "print")


def first_turns(folder: Path, url: str) -> Iterator[Contender]:
    """Yield a gateway with keys, the first requests of some, and their reference."""
    environment = make_folders(folder, url)
    file = folder / "keys.toml"
    keys = {profile: add_keys(file, profile) for profile in ("agent", "plain")}
    gateway = Gateway(folder / "gateway", url, KEY, 2, API_KEYS_FILE=str(file))
    yield gateway
    yield from (FirstTurn(gateway, profile, keys[profile]) for profile in keys)
    yield as_it_comes(folder, environment)


def later_turns(folder: Path, url: str) -> Iterator[Contender]:
    """Yield contenders that answer a later question, and their references.

    Processes are not recycled, as one contender would take those that another one continues.
    """
    environment = make_folders(folder, url)
    profiles = build_profiles(Settings(claude_code_max_retries=0), environment)
    binary = cli.current()
    gateway = Gateway(folder / "gateway", url, KEY, 2, POOL_RECYCLE="false")
    yield gateway
    plain = profiles["plain"]
    yield ClaudePrint(PRINT, [binary, *printed(plain)], plain.variables, folder / "print")
    yield RepeatedTurn(binary, plain, folder / "bare")
    for profile, number in itertools.product(("agent", "plain"), (2, LATE)):
        yield BareTurn(binary, profiles[profile], folder / "bare", number)
        yield SessionTurn(gateway, profile, number)
    for turns in (1, LATE):
        yield from (SentAgain(gateway, turns, goes_on=goes_on) for goes_on in (True, False))


def make_folders(folder: Path, url: str) -> dict[str, str]:
    """Make the contenders' folders, and return their environment."""
    for name in ("gateway", "bare", "print", "home"):
        (folder / name).mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
    }


def conversations(contenders: Sequence[Contender]) -> list[Contender]:
    """Return contenders that ask the same gateway at the end of long conversations."""
    (gateway,) = (each for each in contenders if isinstance(each, Gateway))
    return [LongConversation(gateway, profile) for profile in ("plain", "agent")]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
