"""The soak: what is expected of answers, and what is taken for growth."""

import json
import random
import time
from typing import Any

import pytest

from bench import soak
from bench.soak import PLAY, Holdings, Tally, ask, write
from bench.traffic import Asker, Wrong, say, stream_slowly

HELD = {"processes": 4, "memory": 80_000_000, "threads": 15}


class Answering:
    """A server that answers every request alike."""

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
    """Only exactly what was asked for is right."""
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


def test_killed_processes():
    """An error is put down to a killed process only where one was killed meanwhile."""
    tally = Tally()
    began = time.monotonic()
    assert not tally.any_killed(began)
    tally.killed()
    assert tally.any_killed(began)
    assert not tally.any_killed(time.monotonic() + 1)


def test_lost_turns_are_told(monkeypatch):
    """A turn whose connection breaks is lost, and named with the reason."""

    def broken(asker):
        raise ConnectionResetError("reset")

    monkeypatch.setattr(soak, "KINDS", {broken: 1})
    tally = Tally()
    ask(server(200, b""), random.Random(1), tally)
    assert tally.ends == {"lost": 1}
    assert "broken" in tally.faults[0]
    assert "1  turns lost" in write(60, tally, [Holdings(HELD)], tally.faults)


@pytest.mark.parametrize(
    ("name", "more", "grown"),
    [
        ("processes", 0, False),
        ("processes", 1, True),
        ("processes", -1, False),
        ("memory", PLAY["memory"], False),
        ("memory", PLAY["memory"] + 1, True),
    ],
)
def test_growth(name, more, grown):
    """What is more at the end, beyond what plays, is told with both numbers."""
    later = Holdings({**HELD, name: HELD[name] + more})
    told = Holdings(HELD).grown(later)
    assert bool(told) is grown
    assert all(name in line and f"{HELD[name] + more:,}" in line for line in told)
