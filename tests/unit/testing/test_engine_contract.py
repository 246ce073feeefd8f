"""The contract of engines: the scripted engine fulfils it, and each violation is reported."""

from __future__ import annotations

import asyncio

import pytest

from wrapper.services.events import Ended, Ending, Started, TextDelta, Used
from wrapper.services.spent import Usage
from wrapper.testing import ScriptedEngine, check_engine, say
from wrapper.testing.engine import answer, raw_answer

TURN, ENDLESS = say("Hello."), say("Go on.")
BEGUN = Started("scripted-model")
DONE = answer("Hello.")
RAW = raw_answer("Hello.")
GOING_ON = (BEGUN, TextDelta("More."), 3600.0)


def script(*steps, endless=GOING_ON, bodies=RAW):
    """Return a script: *steps* as the answer, and *endless* for the endless turn."""

    def play(turn):
        if turn.body is not None:
            return bodies
        return endless if turn == ENDLESS else (steps or DONE)

    return play


def check(engine=ScriptedEngine, **scripts):
    check_engine(lambda: engine(script(*scripts.pop("steps", ()), **scripts)), TURN, ENDLESS)


def test_scripted():
    """The scripted engine fulfils the contract."""
    check()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (DONE[1:], "must begin with Started"),
        (DONE[:-1], "last event must be Ended"),
        ((*DONE, DONE[-1]), "nothing may follow"),
        ((BEGUN, *DONE[2:]), "must have text"),
        ((*DONE[:2], DONE[-1]), "must report its usage"),
        ((*DONE[:3], Ended(Ending.DONE, Usage(output=7), 0.1)), "but the last Used has"),
        ((*DONE[:2], "Hello?", *DONE[2:]), "these are not events"),
    ],
    ids=["no start", "no end", "two ends", "mute", "no use", "other use", "no event"],
)
def test_bad_answers(steps, message):
    """Missing or misplaced events are reported."""
    with pytest.raises(AssertionError, match=message):
        check(steps=steps)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (DONE, "first raw event must be message_start"),
        (RAW[:-3] + RAW[-2:], "last raw event must be message_stop"),
        ((*RAW[:-1], Ended(Ending.DONE, Usage(output=7), 0.1)), "but the last Used has"),
        (RAW[1:], "must begin with Started"),
    ],
    ids=["no raw events", "no end", "other use", "no start"],
)
def test_bad_bodies(steps, message):
    """An engine that takes bodies has to answer them with the events of the model's API."""
    with pytest.raises(AssertionError, match=message):
        check(bodies=steps)


class Bodiless(ScriptedEngine):
    """Does not take bodies."""

    takes_bodies = False


def test_without_bodies():
    """An engine that does not take bodies gets none."""
    check(Bodiless, bodies=())


def test_usage_before_start():
    """Usage may come before the model has begun, for example after a compaction."""
    check(steps=(Used({}), *DONE))


class Stubborn(ScriptedEngine):
    """Continues after the client has left."""

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
    """Runs turns after it was closed."""

    def close(self):
        self.started = False


class Unwell(ScriptedEngine):
    """Has an unknown status."""

    def health(self):
        return {"status": "fine"}


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (Littering, "no task running"),
        (Immortal, "must refuse a turn"),
        (Unwell, "must be one of"),
    ],
)
def test_bad_engines(engine, message):
    """The contract covers more than events."""
    with pytest.raises(AssertionError, match=message):
        check(engine)


def test_stubborn():
    """A turn that continues after the client has left is reported."""
    with pytest.raises(AssertionError, match="whose client has left must end within"):
        check(Stubborn, endless=(BEGUN, 4.0, *DONE[1:]))
