"""The benchmark: how it times answers, compares times, and judges them."""

import pytest

from bench.answer import EXPECTED, Answer, Timing, WrongAnswer
from bench.bare_process import printed
from bench.batches import BatchRound
from bench.contenders import AGENT
from bench.cost import PAUSE, Cost
from bench.figures import Spread, ratio, seconds, spread
from bench.fronts import CHAT, RESPONSES, SIZES, Fronts
from bench.load import Load
from bench.mcp import WITH, WITHOUT
from bench.measure import measure, sample
from bench.promises import Promises
from bench.report import report, table
from bench.results import Results, judge
from bench.targets import (
    AS_IT_COMES,
    BARE,
    GATEWAY,
    MIB,
    NOISE,
    PRINT,
    REPEATED,
    TARGETS,
    Target,
    checks,
    missed,
    noises,
    turn_checks,
)
from wrapper import host
from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.settings import Settings


class RecordingContender:
    """A contender that answers at once and records its calls."""

    def __init__(self, name, calls, *firsts):
        self.name = name
        self.calls = calls
        self.firsts = list(firsts)

    def prepare(self):
        self.calls.append(f"prepare {self.name}")

    def ask(self):
        self.calls.append(f"ask {self.name}")
        first = self.firsts.pop(0) if self.firsts else 1.0
        return Timing(first, first + 1)

    def close(self):
        self.calls.append(f"close {self.name}")


def answer_at(*times):
    """Return an answer whose clock returns these times, one at each call."""
    return Answer(clock=iter(times).__next__)


def rounds_of(**firsts):
    """Return rounds with these times to the first token of the named contenders."""
    names = {
        "gateway": GATEWAY,
        "agent": AGENT,
        "bare": BARE,
        "cold": PRINT,
        "printed": AS_IT_COMES,
    }
    columns = [[(names[name], first) for first in column] for name, column in firsts.items()]
    return [
        {name: Timing(first, 2 * first) for name, first in row}
        for row in zip(*columns, strict=True)
    ]


def test_answer():
    """An answer is timed from the question to its first text, and to its end."""
    answer = answer_at(10.0, 10.5, 12.0)
    for text in ("", EXPECTED[:2], EXPECTED[2:]):
        answer.add(text)
    assert answer.end() == Timing(first=0.5, total=2.0)


@pytest.mark.parametrize("text", ["", "w1", EXPECTED + " ", EXPECTED.replace("w9 ", "")])
def test_wrong_answer(text):
    """An answer that differs from the expected one in a letter raises WrongAnswer."""
    answer = answer_at(0.0, 1.0, 2.0)
    answer.add(text)
    with pytest.raises(WrongAnswer):
        answer.end()


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([7.0], Spread(7.0, 7.0, 7.0)),
        ([1.0, 3.0], Spread(2.0, 1.5, 2.5)),
        ([5.0, 1.0, 4.0, 2.0, 3.0], Spread(3.0, 2.0, 4.0)),
        ([1.0, 2.0, 3.0, 4.0, 1000.0], Spread(3.0, 2.0, 4.0)),
    ],
)
def test_spread(samples, expected):
    """A spread has the median and the quartiles, in any order, and ignores outliers."""
    assert spread(samples) == expected


def test_relative_spread():
    """A relative spread is a part of the median, so that slow and fast ones compare."""
    assert Spread(4.0, 3.0, 5.0).relative == Spread(40.0, 30.0, 50.0).relative == 0.5


def test_seconds():
    """A contender's times are its own, of the requested part."""
    rounds = rounds_of(gateway=[1.0, 2.0, 3.0], bare=[9.0, 9.0, 9.0])
    assert seconds(rounds, GATEWAY, "first").median == 2.0
    assert seconds(rounds, GATEWAY, "total").median == 4.0


def test_ratio():
    """A ratio is taken round by round: what slows a whole round does not show in it."""
    rounds = rounds_of(gateway=[1.0, 10.0, 3.0], bare=[2.0, 20.0, 6.0])
    assert ratio(rounds, GATEWAY, BARE, "first") == Spread(0.5, 0.5, 0.5)


def test_targets():
    """The targets are those of the project: 0.35 of `claude -p`, 1.4 of a bare process."""
    assert {target.reference: target.most for target in TARGETS} == {PRINT: 0.35, BARE: 1.4}


@pytest.mark.parametrize(
    ("gateway", "named"), [(0.35, []), (0.36, [PRINT]), (0.3751, [PRINT, BARE])]
)
def test_missed(gateway, named):
    """A target is missed beyond its limit and not at it, and is named with the measured value."""
    misses = missed(rounds_of(gateway=[gateway], bare=[0.26], cold=[1.0]))
    assert len(misses) == len(named)
    for what, name in zip(misses, named, strict=True):
        assert f"of `{name}`" in what
        assert "it is" in what


def test_missed_target_text():
    """A missed target is reported with its meaning, its limit and the ratio."""
    rounds = rounds_of(gateway=[3.0], bare=[1.0])
    expected = (
        "time to first token, one at a time: `gateway` at most 2 of `bare process`; it is 3.00"
    )
    assert missed(rounds, [Target(BARE, 2.0)]) == [expected]


@pytest.mark.parametrize("reference", ["bare", "cold"])
def test_noise(reference):
    """A reference that varies beyond the bound is named; the gateway's own spread is not noise."""
    still = [1.0, 1.0, 1.0]
    wild = [1.0 - NOISE, 1.0, 1.0 + NOISE * 1.1]
    columns = {"gateway": [1.0, 2.0, 9.0], "bare": still, "cold": still}
    assert noises(rounds_of(**columns)) == []
    (reason,) = noises(rounds_of(**{**columns, reference: wild}))
    assert f"`{BARE if reference == 'bare' else PRINT}`" in reason


LOAD = Load(fresh=4.0, recycled=16.0, printed=1.6, cpu=host.cores() / 5, share=0.8)
KEPT = Promises(health=1.0, gone=5.0)
COST = Cost(requests=0.35, chunk=60e-6, resident=90 * MIB, waiting=MIB, gap=2.99 * PAUSE)


def fronts_of(first, event):
    """Return one round of both APIs, in which responses take these parts of chat completions."""
    rounds = [
        {f"{front}, {size}": Timing(times, times)}
        for size in SIZES
        for front, times in ((CHAT, 1.0), (RESPONSES, first))
    ]
    return Fronts(
        [{name: each[name] for each in rounds for name in each}], dict.fromkeys(SIZES, event)
    )


FRONTS = fronts_of(1.1, 1.1)


def test_checks_are_reached_at_their_bounds():
    """A check is reached at its bound and missed beyond it, and is reported with both numbers."""
    burst = rounds_of(gateway=[0.07], agent=[0.1], cold=[0.36], printed=[1.0])
    assert all(check.reached for check in checks(burst, LOAD, COST, FRONTS, KEPT))
    worse = Cost(requests=0.34, chunk=61e-6, resident=91 * MIB, waiting=2 * MIB, gap=0.4)
    slow = Load(fresh=3.9, recycled=15.0, printed=1.6, cpu=host.cores() / 5, share=0.78)
    missed_checks = checks(
        rounds_of(gateway=[0.21], agent=[0.11], cold=[1.0], printed=[1.0]),
        slow,
        worse,
        fronts_of(1.0, 1.11),
        Promises(1.1, 5.1),
    )
    assert not any(check.reached for check in missed_checks)
    assert all(check.part > 1 for check in missed_checks)
    assert str(missed_checks[0]).endswith("at most 0.2; it is 0.21")
    assert str(missed_checks[3]).endswith("at least 0.8; it is 0.78")


def sessions_of(late, fresh):
    """Return a round of later turns: the latest takes *late* seconds, a first one *fresh*."""
    firsts = {PRINT: 1.0, GATEWAY: fresh, REPEATED: 0.1}
    for profile in ("agent", "plain"):
        firsts |= {f"bare process, {profile}, turn {number}": 0.1 for number in (2, 60)}
        firsts |= {f"session, {profile}, turn 2": 0.1, f"session, {profile}, turn 60": late}
    return [{name: Timing(first, first) for name, first in firsts.items()}]


def firsts_of(plain):
    """Return a round of first requests of a key, in which a plain one takes *plain* seconds."""
    firsts = {"agent": 0.22, "plain": plain}
    timed = {f"first request of a key, {name}": Timing(at, at) for name, at in firsts.items()}
    return [{AS_IT_COMES: Timing(1.0, 1.0), **timed}]


def results_of(
    gateway=0.09,
    agent=0.12,
    cold=(1.0, 1.0, 1.0),
    long=0.3,
    late=0.13,
    fresh=0.35,
    first=0.13,
    mib=50,
    burst=0.07,
    agents=0.1,
    front=1.1,
    mcp=1.5,
    batch=(0.9, 1.3),
):
    """Return results that reach each target exactly, except for those given."""
    return Results(
        rounds_of(
            gateway=[gateway] * 3, agent=[agent] * 3, bare=[0.25] * 3, cold=cold, printed=[1.0] * 3
        ),
        rounds_of(
            gateway=[burst] * 3,
            agent=[agents] * 3,
            cold=[0.36] * 3,
            bare=[0.25] * 3,
            printed=[1.0] * 3,
        ),
        [{"plain, 100 turns before": Timing(long, long)}],
        sessions_of(late, fresh),
        firsts_of(first),
        mib * MIB,
        LOAD,
        COST,
        fronts_of(front, 1.0),
        [{WITHOUT: Timing(1.0, 1.0), WITH: Timing(mcp, mcp)}],
        KEPT,
        [BatchRound(batch[0], 1.0, 1.0, batch[1])],
    )


@pytest.mark.parametrize(
    ("measured", "status", "word"),
    [
        ({}, 0, "Reached"),
        ({"gateway": 0.1}, 1, "Missed"),
        ({"fresh": 0.36}, 1, "Missed"),
        ({"agent": 0.13}, 1, "Missed"),
        ({"long": 0.31}, 1, "Missed"),
        ({"late": 0.14}, 1, "Missed"),
        ({"first": 0.14}, 1, "Missed"),
        ({"mib": 51}, 1, "Missed"),
        ({"burst": 0.071}, 1, "Missed"),
        ({"agents": 0.11}, 1, "Missed"),
        ({"front": 1.11}, 1, "Missed"),
        ({"mcp": 1.51}, 1, "Missed"),
        ({"batch": (0.89, 1.3)}, 1, "Missed"),
        ({"batch": (0.9, 1.31)}, 1, "Missed"),
        ({"gateway": 0.9, "cold": (0.5, 1.0, 1.5)}, 2, "Too noisy"),
    ],
)
def test_status(measured, status, word):
    """The exit status tells reached, missed and too noisy apart; noise forbids a judgement."""
    code, verdict = judge(results_of(**measured))
    assert code == status
    assert len(verdict) > 0
    assert all(sentence.startswith(word) for sentence in verdict)


def test_turns_alone():
    """Turns on recycled processes are compared with a bare one's, those on fresh ones with cold."""
    single = rounds_of(gateway=[0.11, 0.13])
    recycled, fresh = turn_checks(single, sessions_of(late=0.1, fresh=0.36))
    assert recycled.reached
    assert not fresh.reached
    assert not turn_checks(rounds_of(gateway=[0.13]), sessions_of(0.1, 0.3))[0].reached


def test_report():
    """The report has the tables of each part, the memory of sessions, and the verdict."""
    text = report(results_of(mib=12), ["Reached: all."])
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [
        "# Results of `make bench`",
        "## One at a time (3 rounds)",
        "## 8 at once (3 rounds, each the median of 8)",
        "## At the end of a long conversation (1 rounds)",
        "## Later turns of a session (1 rounds)",
        "## The first request of a key (1 rounds)",
        "## Responses beside chat completions (1 rounds)",
        "## An agent's turn with an MCP server (1 rounds)",
        "## Under load, and the gateway's own cost",
        "## Targets",
    ]
    assert "short messages: 12.0 MiB." in text
    assert text.endswith("- Reached: all.\n")


def test_rounds():
    """Each contender is asked once a round, when all are ready; each round starts with another."""
    calls: list[str] = []
    pauses: list[float] = []
    pair = [RecordingContender("a", calls, 1.0, 2.0, 3.0), RecordingContender("b", calls)]
    rounds = measure(pair, 2, 1, pause=pauses.append)
    assert [each["a"].first for each in rounds] == [2.0, 3.0]  # the first one is discarded
    ready = ["prepare a", "prepare b"]
    assert calls[:6] == [*ready, "ask a", *ready, "ask b"]
    assert calls[6:12] == [*ready[::-1], "ask b", *ready[::-1], "ask a"]
    assert len(pauses) == 6


def test_burst():
    """A burst counts with its medians."""
    calls: list[str] = []
    assert sample(RecordingContender("a", calls, 1.0, 2.0, 9.0), 3) == Timing(2.0, 3.0)
    assert calls == ["ask a"] * 3


def test_printed():
    """`claude -p` gets the plain profile's flags, except for streamed input and the budget."""
    plain = build_profiles(Settings(), {"ANTHROPIC_API_KEY": "sk-x"})["plain"]
    flags = printed(plain)
    assert flags[:2] == ["--output-format", "stream-json"]
    assert flags[flags.index("--tools") :][:2] == ["--tools", ""]
    assert len(flags) == len(plain.arguments) - 4
    assert not {"--input-format", "--max-budget-usd"} & set(flags)


def test_table():
    """The table has a row for each contender, fastest first, with its times and ratios."""
    text = table(rounds_of(gateway=[0.3, 0.3], bare=[0.2, 0.2], cold=[1.0, 1.0]))
    rows = [row.split(" | ") for row in text.splitlines()[2:]]
    assert [row[0] for row in rows] == [f"| `{name}`" for name in (BARE, GATEWAY, PRINT)]
    assert rows[1][1:4] == ["300 (300-300)", "600 (600-600)", "0.30 (0.30-0.30)"]
    assert rows[1][5] == "1.50 (1.50-1.50)"
