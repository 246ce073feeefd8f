"""The soak: what it expects of answers, and what it counts as growth."""

import json
import random
import time
from typing import Any

import pytest

from bench import hostile_traffic, keys, soak
from bench.soak import TOLERANCE, Holdings, Outcomes, ask, write
from bench.traffic import Asker, Wrong, say, stream_slowly
from wrapper.auth.key_file import KeyFile

HELD = {"processes": 4, "memory": 80_000_000, "threads": 15}


class Answering:
    """A server that answers every request in the same way."""

    def __init__(self, status, data, kind="application/json"):
        self.answer = status, {"content-type": kind}, data

    def call(self, *request):
        return self.answer


def server(*answer: Any) -> Any:
    return Answering(*answer)


def completion(text):
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def event(**content):
    return f"data: {json.dumps(content)}\n\n".encode()


def asker(*answer):
    return Asker(server(*answer), random.Random(1))


def test_right_and_wrong_answers():
    """Only the exact answer is right."""
    word = Asker(server(200, b""), random.Random(1)).word()
    say(asker(200, completion(word)))
    for answer in ((200, completion(f"{word} ")), (500, b'{"error": {"code": null, "type": "x"}}')):
        with pytest.raises(Wrong, match=word):
            say(asker(*answer))


@pytest.mark.parametrize("end", [b"", event(choices=[])])
def test_a_stream_without_an_end(end):
    """A stream that ends without [DONE] and without an error is a turn lost."""
    delta = event(choices=[{"delta": {"content": "w1"}}])
    with pytest.raises(ConnectionError, match="without an end"):
        stream_slowly(asker(200, delta + end, "text/event-stream"))


def test_each_caller_has_a_key(tmp_path):
    """The gateway reads a key without limits, one with a rate, and keys with a budget."""
    file = tmp_path / "keys.toml"
    keys.write_keys(file)
    limits = {
        principal.name: (principal.requests_per_minute, principal.usd_per_day)
        for principal in KeyFile(file).principals()
    }
    assert limits == {
        keys.USUAL: (None, None),
        keys.LIMITED: (keys.REQUESTS_PER_MINUTE, None),
        **dict.fromkeys(keys.BUDGETED, (None, keys.BUDGET_USD)),
    }


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (200, {}, "20 of 20 served"),
        (429, {}, "Retry-After ''"),
        (429, {"retry-after": "61"}, "Retry-After '61'"),
        (502, {"retry-after": "1"}, "502"),
    ],
)
def test_a_flood_that_is_not_refused(status, headers, reason):
    """A flood must be refused with a Retry-After."""
    flooding = asker(status, b"{}")
    flooding.server.answer[1].update(headers)
    with pytest.raises(Wrong, match=reason):
        hostile_traffic.flood(flooding)


class Spending(Answering):
    """A server that also reports the spending of the caller's budget."""

    def __init__(self, spent, *answer):
        super().__init__(*answer)
        self.usage = json.dumps({"budgets": {"usd_per_day": {"spent_usd": spent}}}).encode()

    def call(self, method, *request):
        return (200, {}, self.usage) if method == "GET" else self.answer


def spend(dollars, *answer):
    server: Any = Spending(dollars, *answer)
    return hostile_traffic.loop_beyond_a_budget(Asker(server, random.Random(1)))


QUOTA = b'{"error": {"code": "insufficient_quota"}}'
ONE_ROUND_MORE = keys.BUDGET_USD + hostile_traffic.ROUND_USD


def test_a_budget_that_holds():
    """A budget may be exceeded by one round, and the report says how the loop ended."""
    assert spend(ONE_ROUND_MORE, 200, QUOTA) == "ended early by a budget"
    assert spend(ONE_ROUND_MORE, 429, QUOTA) == "refused for a spent budget"


@pytest.mark.parametrize(
    ("dollars", "data", "reason"),
    [(ONE_ROUND_MORE + 0.001, QUOTA, "spent of"), (0, completion("end"), "not ended by a budget")],
)
def test_a_budget_that_does_not_hold(dollars, data, reason):
    """A loop that goes on, or costs more than one round beyond the budget, is wrong."""
    with pytest.raises(Wrong, match=reason):
        spend(dollars, 200, data)


def test_outcomes_are_counted(monkeypatch):
    """The report counts the outcomes that kinds return."""
    monkeypatch.setattr(soak, "KINDS", {lambda _: "refused": 1})
    outcomes = Outcomes()
    ask(server(200, b""), random.Random(1), outcomes)
    assert "1  refused" in write(60, outcomes, [Holdings(HELD)], [])


def test_killed_processes():
    """An error is attributed to a killed process only if one was killed meanwhile."""
    outcomes = Outcomes()
    began = time.monotonic()
    assert not outcomes.any_killed(began)
    outcomes.killed()
    assert outcomes.any_killed(began)
    assert not outcomes.any_killed(time.monotonic() + 1)


def test_lost_turns_are_reported(monkeypatch):
    """A turn whose connection breaks is lost, and reported with the reason."""

    def broken(asker):
        raise ConnectionResetError("reset")

    monkeypatch.setattr(soak, "KINDS", {broken: 1})
    outcomes = Outcomes()
    ask(server(200, b""), random.Random(1), outcomes)
    assert outcomes.ends == {"lost": 1}
    assert "broken" in outcomes.faults[0]
    assert "1  turns lost" in write(60, outcomes, [Holdings(HELD)], outcomes.faults)


@pytest.mark.parametrize(
    ("name", "more", "grown"),
    [
        ("processes", 0, False),
        ("processes", 1, True),
        ("processes", -1, False),
        ("memory", TOLERANCE["memory"], False),
        ("memory", TOLERANCE["memory"] + 1, True),
    ],
)
def test_growth(name, more, grown):
    """Growth beyond the tolerance is reported with both numbers."""
    later = Holdings({**HELD, name: HELD[name] + more})
    reports = Holdings(HELD).grown(later)
    assert bool(reports) is grown
    assert all(name in line and f"{HELD[name] + more:,}" in line for line in reports)
