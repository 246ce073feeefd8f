"""Whatever the model's API does, a turn ends in time, with the right answer or an error."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.faults import lasting, play
from wrapper.testing.garbage import KINDS
from wrapper.testing.upstream import Upstream

PROFILES = ("plain", "agent")
BOTH_WAYS = [(profile, stream) for profile in PROFILES for stream in (False, True)]
SOON = 15.0  # five times what it may need to end
SAID = "hé b c"
# The text that is left of the answer, or the error code.
OUTCOMES = dict.fromkeys(KINDS, "bad_gateway") | {
    "strange": SAID,
    "line": SAID,
    "split": "h\ufffd b c",  # the replacement for half a character
}
# How the API stalls, and the MAX_TIMEOUT for it. A stream gets its status with its first word or
# after ten seconds, so the first limit is shorter than that; the second leaves time for the word.
SILENCES = {"[[wait 100]]": 8.0, "[[deltas 3]] [[stall 200]]": 25.0}


@pytest.fixture(scope="module")
def own():
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module", params=SILENCES, ids=["before", "after"])
def silence(request):
    return request.param


@pytest.fixture(scope="module")
def _timed(own, silence, _servers):
    limit = str(round(SILENCES[silence] * 1000))
    sizes = {"POOL_SIZE": "2", "POOL_SIZE_OTHER": "2"}
    return _servers(ANTHROPIC_BASE_URL=own.url, MAX_TIMEOUT=limit, **sizes).wait()


@pytest.fixture
def timed(_timed):
    """A gateway with a short MAX_TIMEOUT. After each test it holds what it held before."""
    server = _timed
    server.at_rest()
    for profile in PROFILES:
        assert play(server, "hello", profile=profile).status == 200
    before = lasting(server)
    yield server
    server.at_rest()
    for profile in PROFILES:
        assert play(server, "[[say well]]", profile=profile).text == "well"
    assert server.comes_back_to(before)


def all_at_once(turns, play_one):
    with ThreadPoolExecutor(len(turns)) as pool:
        return dict(zip(turns, pool.map(play_one, turns), strict=True))


def ending(outcome):
    """Return the text of an answer, or the error code."""
    return outcome.error["code"] if outcome.error else outcome.text


def test_stalls(timed, own, silence):
    """If the API stalls before or after its first word, the turn ends at MAX_TIMEOUT."""
    own.clear()
    seconds = SILENCES[silence]
    outcomes = all_at_once(
        BOTH_WAYS, lambda way: play(timed, silence, profile=way[0], stream=way[1])
    )
    for (_, stream), outcome in outcomes.items():
        begun = stream and "stall" in silence
        assert (outcome.status, ending(outcome)) == (200 if begun else 504, "timeout")
        assert outcome.text == ("w1" if begun else "")
        assert seconds <= outcome.seconds < seconds + SOON
    assert own.wait_for(lambda seen: all(one.ended == "aborted" for one in seen), SOON)
    assert len(own.requests) == len(BOTH_WAYS)


def test_cuts(gateway):
    """A connection that is cut before the first byte or after the first word is an error."""
    cuts = ("[[drop]]", "[[deltas 3]] [[stall 0.5]] [[cut]]")
    turns = [(cut, *way) for cut in cuts for way in BOTH_WAYS]
    outcomes = all_at_once(
        turns, lambda turn: play(gateway, turn[0], profile=turn[1], stream=turn[2])
    )
    for (cut, _, stream), outcome in outcomes.items():
        assert ending(outcome) == "bad_gateway"
        # Text that was sent just before a cut may be lost.
        told = (outcome.status, outcome.text)
        assert told == (502, "") or (stream and "deltas" in cut and told == (200, "w1"))
    gateway.at_rest()


def test_away_and_back(serve):
    """While nothing listens at the API's address turns are errors, and afterwards they are not."""
    upstream = Upstream().start()
    port = int(upstream.url.rpartition(":")[2])
    server = serve(ANTHROPIC_BASE_URL=upstream.url, POOL_SIZE="2", POOL_SIZE_OTHER="2").wait()
    upstream.stop()
    outcomes = all_at_once(BOTH_WAYS, lambda way: play(server, "hi", profile=way[0], stream=way[1]))
    assert {(one.status, ending(one)) for one in outcomes.values()} == {(502, "bad_gateway")}
    upstream = Upstream(port).start()
    for profile in PROFILES:
        assert play(server, "[[say well]]", profile=profile).text == "well"
    server.at_rest()
    upstream.stop()


@pytest.mark.thorough
def test_garbage(gateway):
    """A malformed reply of the API is an error, never an empty, partial or doubled answer."""
    ways = itertools.cycle((("plain", True), ("agent", False)))
    turns = [(kind, *way) for kind, way in zip(KINDS, ways, strict=False)]
    asked = f"[[say {SAID}]] [[garbage %s]]"

    def play_one(turn):
        return play(gateway, asked % turn[0], profile=turn[1], stream=turn[2])

    with ThreadPoolExecutor(4) as pool:
        outcomes = dict(zip(turns, pool.map(play_one, turns), strict=True))
    ended = {turn: ending(outcome) for turn, outcome in outcomes.items()}
    assert ended == {turn: OUTCOMES[turn[0]] for turn in turns}
    assert play(gateway, "[[say well]]").text == "well"
    gateway.at_rest()


# Bursts: of sixteen requests at once the API refuses the first ten, one half with 429 and the
# other with 529.

AT_ONCE, REFUSED = 16, 10
TOLD = {429: (429, "rate_limit_exceeded", "5"), 529: (503, "overloaded", "5")}


def burst(server, upstream):
    """Return the outcomes of the turns that are errors, with the API's status."""
    upstream.clear()
    turns = [(number, (429, 529)[number % 2]) for number in range(AT_ONCE)]

    def play_one(turn):
        number, status = turn
        told = f"[[say answer {number}]] [[error {status}]] [[after 1]] [[burst {REFUSED}]]"
        return play(server, told, stream=number % 4 < 2)

    outcomes = all_at_once(turns, play_one)
    for (number, _), outcome in outcomes.items():
        assert outcome.error or outcome.text == f"answer {number}"
    return [(status, outcome) for (_, status), outcome in outcomes.items() if outcome.error]


@pytest.mark.thorough
def test_burst(gateway, upstream):
    """Refused requests of a burst are errors with Retry-After, and the others are answered."""
    refused = burst(gateway, upstream)
    assert len(refused) == REFUSED
    for status, outcome in refused:
        told = outcome.status, ending(outcome), outcome.headers["retry-after"]
        assert told == TOLD[status]
    assert len(upstream.requests) == AT_ONCE
    gateway.at_rest()


@pytest.fixture(scope="module")
def patient(_servers):
    """A gateway whose Claude Code retries as often as it does by default."""
    sizes = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "2"}
    return _servers(CLAUDE_CODE_MAX_RETRIES="", **sizes).wait()


@pytest.mark.thorough
def test_burst_that_is_waited_for(patient, upstream):
    """By default Claude Code waits for a short burst to pass, and all are answered."""
    assert burst(patient, upstream) == []
    assert len(upstream.requests) == AT_ONCE + REFUSED
    patient.at_rest()


@pytest.mark.parametrize(("profile", "stream"), [("plain", True), ("agent", False)])
@pytest.mark.parametrize(("after", "least", "most"), [(30, 30, 45), (600, 60, 60)])
def test_long_waits(patient, upstream, profile, stream, after, least, most):
    """A long wait is told to the client at once: no turn is silent for ten minutes.

    OpenAI's libraries wait for a minute at most.
    """
    status = 529 if stream else 429
    told = f"[[error {status}]] [[after {after}]]"
    patient.at_rest()  # so that the turn does not wait for a process
    outcome = play(patient, told, profile=profile, stream=stream)
    assert (outcome.status, ending(outcome)) == TOLD[status][:2]
    assert least <= int(outcome.headers["retry-after"]) <= most
    assert outcome.seconds < SOON
    assert len(upstream.requests) == 1
