"""The targets of the benchmark, and whether the machine is quiet enough to judge them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.batches import BatchRound
from bench.contenders import AGENT
from bench.cost import PAUSE, Cost
from bench.figures import Round, ratio, seconds
from bench.fronts import CHAT, RESPONSES, SIZES, Fronts
from bench.load import Load
from bench.mcp import WITH, WITHOUT
from bench.promises import Promises

GATEWAY = "gateway"
BARE = "bare process"
PRINT = "claude -p, plain"
AS_IT_COMES = "claude -p, as it comes"
# The most that the quartiles of a reference's time may be apart, as a part of its median.
NOISE = 0.25
MIB = 1024**2
REFERENCES = (PRINT, BARE)


@dataclass(frozen=True)
class Target:
    """The longest time to first token of a contender, as a part of a reference's."""

    reference: str
    most: float
    name: str = GATEWAY

    def __str__(self) -> str:
        return (
            f"time to first token, one at a time: `{self.name}` at most {self.most:g} of "
            f"`{self.reference}`"
        )


@dataclass(frozen=True)
class Check:
    """A number with its bound: the most it may be, or, if `least` is set, the least."""

    what: str
    value: float
    bound: float
    least: bool = False

    @property
    def reached(self) -> bool:
        return self.value >= self.bound if self.least else self.value <= self.bound

    @property
    def part(self) -> float:
        """Return the number as a part of its bound; over 1 if the bound is missed."""
        return self.bound / self.value if self.least else self.value / self.bound

    def __str__(self) -> str:
        relation = "at least" if self.least else "at most"
        return f"{self.what}: {relation} {self.bound:.3g}; it is {self.value:.3g}"


LONG_SECONDS = 0.3
LONG_TARGET = f"time to first token after 100 turns: at most {LONG_SECONDS:g} s"
FOOTPRINT_BYTES = 50 * MIB
FOOTPRINT_TARGET = "1,000 sessions with short messages: at most 50 MiB"
TARGETS = (Target(PRINT, 0.35), Target(BARE, 1.4))
PRINTED_TARGETS = (Target(AS_IT_COMES, 0.12, AGENT), Target(AS_IT_COMES, 0.09))
BURST_MOST = 0.2
PLAIN_BURST_MOST = 0.07
AGENTS_BURST_MOST = 0.1
REPEATED = "bare process, plain, the same again"
REPEATED_MOST = 1.2
FRESH_MOST = 0.35
SESSION_TARGETS = tuple(
    target
    for profile in ("agent", "plain")
    for name, late in [(f"session, {profile}, turn 2", f"session, {profile}, turn 60")]
    for target in (
        Target(f"bare process, {profile}, turn 2", 1.3, name),
        Target(f"bare process, {profile}, turn 60", 1.3, late),
        Target(PRINT, 0.15, name),
        Target(name, 1.3, late),
    )
)

FRONT_MOST = 1.1
FRONT_TARGETS = tuple(
    Target(f"{CHAT}, {size}", FRONT_MOST, f"{RESPONSES}, {size}") for size in SIZES
)

FIRST_TARGETS = tuple(
    Target(AS_IT_COMES, most, f"first request of a key, {profile}")
    for profile, most in (("agent", 0.22), ("plain", 0.13))
)

MCP_TARGETS = (Target(WITHOUT, 1.5, WITH),)


def missed(rounds: Sequence[Round], targets: Sequence[Target] = TARGETS) -> list[str]:
    """Return the targets that the median ratio misses, each with that ratio."""
    reached = (
        (target, ratio(rounds, target.name, target.reference, "first")) for target in targets
    )
    return [f"{t}; it is {got.median:.2f}" for t, got in reached if got.median > t.most]


def checks(
    burst: Sequence[Round], load: Load, cost: Cost, fronts: Fronts, kept: Promises
) -> list[Check]:
    """Return the checks of a burst, the load, the gateway's own cost, its APIs, and faults."""
    return [
        *_burst_checks(burst),
        Check("turns a second, fresh, of what the cores can do", load.share, 0.8, True),
        Check("turns a second, recycled, by fresh ones", load.recycled / load.fresh, 4, True),
        Check(
            f"turns a second, by those of `{AS_IT_COMES}`", load.recycled / load.printed, 10, True
        ),
        Check("requests a second, of those of a bare Flask view", cost.requests, 0.35, True),
        Check("microseconds of CPU a streamed chunk", cost.chunk * 1e6, 60),
        *(
            Check(f"CPU of a streamed event, {RESPONSES} by {CHAT}, {size}", by_chat, FRONT_MOST)
            for size, by_chat in fronts.event.items()
        ),
        Check("MiB resident", cost.resident / MIB, 90),
        Check("MiB more for each request that waits", cost.waiting / MIB, 1),
        Check("100 streams: 99th percentile of the gap, by the upstream's", cost.gap / PAUSE, 3),
        Check("seconds to /health among 64 of each bad client", kept.health, 1),
        Check("seconds until nothing of a killed gateway is left", kept.gone, 5),
    ]


def _burst_checks(burst: Sequence[Round]) -> list[Check]:
    bounds = (
        ("", GATEWAY, PRINT, BURST_MOST),
        ("plain, ", GATEWAY, AS_IT_COMES, PLAIN_BURST_MOST),
        ("agents, ", AGENT, AS_IT_COMES, AGENTS_BURST_MOST),
    )
    return [
        Check(
            f"{who}8 at once: first token, as a part of `{reference}`'s",
            ratio(burst, name, reference, "first").median,
            most,
        )
        for who, name, reference, most in bounds
    ]


def turn_checks(single: Sequence[Round], later: Sequence[Round]) -> list[Check]:
    """Return the checks of a turn alone, on recycled processes and on fresh ones.

    The gateway of *later* recycles none. Medians of different rounds are compared.
    """
    recycled = seconds(single, GATEWAY, "first").median
    bare = seconds(later, REPEATED, "first").median
    fresh = ratio(later, GATEWAY, PRINT, "first").median
    return [
        Check(f"first token, as a part of that of `{REPEATED}`", recycled / bare, REPEATED_MOST),
        Check(f"fresh: first token, as a part of `{PRINT}`'s", fresh, FRESH_MOST),
    ]


def batch_checks(rounds: Sequence[BatchRound]) -> list[Check]:
    """Return the checks of batches, whose ratios are taken round by round."""
    rate = statistics.median(each.lines / each.clients for each in rounds)
    beside = statistics.median(each.beside / each.alone for each in rounds)
    return [
        Check("lines of a batch a second, by turns of clients, recycled", rate, 0.9, True),
        Check("first token while a batch runs, as a part of that without", beside, 1.3),
    ]


def too_large(size: int) -> list[str]:
    """Return FOOTPRINT_TARGET if a footprint of *size* bytes misses it."""
    return [f"{FOOTPRINT_TARGET}; it is {size / MIB:.1f}"] if size > FOOTPRINT_BYTES else []


def too_slow(rounds: Sequence[Round]) -> list[str]:
    """Return the conversations that miss LONG_TARGET, each with its median."""
    medians = {name: seconds(rounds, name, "first").median for name in rounds[0]}
    return [
        f"{LONG_TARGET}; {name}: {median:.2f} s"
        for name, median in medians.items()
        if median > LONG_SECONDS
    ]


def noises(rounds: Sequence[Round]) -> list[str]:
    """Return the references whose own time to first token varies too much for a comparison."""
    spreads = ((name, seconds(rounds, name, "first").relative) for name in REFERENCES)
    return [
        f"the quartiles of `{name}` are {relative:.1%} of its median apart, beyond {NOISE:.0%}"
        for name, relative in spreads
        if relative > NOISE
    ]
