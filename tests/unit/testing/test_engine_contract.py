"""The contract of engines: the engine for tests keeps it, and each breach of it is named."""

from __future__ import annotations

import asyncio

import pytest

from wrapper.services.events import Ended, Ending, Started, TextDelta, Usage, Used
from wrapper.testing import ScriptedEngine, check_engine, say
from wrapper.testing.engine import answer

TURN, ENDLESS = say("Hello."), say("Go on.")
BEGUN = Started("scripted-model")
DONE = answer("Hello.")
GOING_ON = (BEGUN, TextDelta("More."), 3600.0)


def script(*steps, endless=GOING_ON):
    """Return what is played: *steps* as an answer, or without an end."""
    return lambda turn: endless if turn == ENDLESS else (steps or DONE)


def check(engine=ScriptedEngine, **scripts):
    check_engine(lambda: engine(script(*scripts.pop("steps", ()), **scripts)), TURN, ENDLESS)


def test_scripted():
    """The engine for tests is one that the gateway may be run with."""
    check()


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        (DONE[1:], "must begin with Started"),
        (DONE[:-1], "last event must be Ended"),
        ((*DONE, DONE[-1]), "nothing may follow"),
        ((BEGUN, *DONE[2:]), "it must speak"),
        ((*DONE[:2], DONE[-1]), "must be told, before its end"),
        ((*DONE[:3], Ended(Ending.DONE, Usage(output=7), 0.1)), "before it was told of"),
        ((*DONE[:2], "Hello?", *DONE[2:]), "these are no events"),
    ],
    ids=["no start", "no end", "two ends", "mute", "no use", "other use", "no event"],
)
def test_bad_answers(steps, named):
    """Events that come out of order, or are missing, are named."""
    with pytest.raises(AssertionError, match=named):
        check(steps=steps)


def test_use_comes_first():
    """What was used may be told before the model has begun, as of a compaction."""
    check(steps=(Used({}), *DONE))


class Stubborn(ScriptedEngine):
    """Goes on where nobody waits."""

    async def run(self, turn, leaving):
        async for event in super().run(turn, asyncio.Event()):
            yield event


class Littering(ScriptedEngine):
    """Leaves a task behind."""

    async def run(self, turn, leaving):
        async for event in super().run(turn, leaving):
            self.task = asyncio.create_task(asyncio.sleep(3600))
            yield event


class Immortal(ScriptedEngine):
    """Runs turns after its end."""

    def close(self):
        self.started = False


class Unwell(ScriptedEngine):
    """Does not know the states that there are."""

    def health(self):
        return {"status": "fine"}


@pytest.mark.parametrize(
    ("engine", "named"),
    [
        (Littering, "nothing running"),
        (Immortal, "must refuse a turn"),
        (Unwell, "status must be one of"),
    ],
)
def test_bad_engines(engine, named):
    """What an engine does beside its events is held to the contract, too."""
    with pytest.raises(AssertionError, match=named):
        check(engine)


def test_stubborn():
    """A turn that goes on although nobody waits is named."""
    with pytest.raises(AssertionError, match="nobody waits for must end within"):
        check(Stubborn, endless=(BEGUN, 4.0, *DONE[1:]))
