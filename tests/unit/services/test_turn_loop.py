"""The turn loop: turns run side by side for a synchronous caller, and no faster than it reads."""

import asyncio

import pytest

from wrapper.errors import Overloaded
from wrapper.services.engine import BUFFERED_EVENTS, TurnLoop
from wrapper.services.events import Ended, Ending, Spent, Started, TextDelta, Usage, Used
from wrapper.services.turn import Turn
from wrapper.testing.engine import ScriptedEngine, answer

pytestmark = pytest.mark.packages

ENDED = Ended(Ending.DONE, Usage(), None)
LONG = 3600.0


@pytest.fixture
def play():
    """Make a loop for one script or several; it is closed after the test."""
    loops = []

    def make(*scripts, tick=LONG, engine=None, patience=1.0):
        turns = [Turn(model=str(index), messages=()) for index in range(len(scripts))]
        engine = engine or ScriptedEngine(lambda turn: scripts[int(turn.model)])
        loops.append(TurnLoop(engine, turns, tick, patience))
        return loops[-1], engine

    yield make
    for loop in loops:
        loop.close()


def test_events_in_order(play):
    """A turn's events come in order, each with the turn's index, and then the loop ends."""
    loop, _ = play(answer("Hello."))
    assert list(loop) == [(0, event) for event in answer("Hello.")]


def test_several_turns(play):
    """Of several turns each one's events come whole and in order."""
    loop, engine = play(*(answer(text) for text in "abc"))
    events = list(loop)
    for index, text in enumerate("abc"):
        assert [event for at, event in events if at == index] == answer(text)
    assert len(events) == 3 * len(answer("a"))
    assert engine.running == 0


def test_side_by_side(play):
    """A turn that is silent keeps no other one waiting."""
    loop, _ = play([Started("slow"), LONG, ENDED], answer("quick"))
    items = iter(loop)
    seen = [next(items) for _ in range(1 + len(answer("quick")))]
    assert [event for index, event in seen if index == 1] == answer("quick")


def test_ticks(play):
    """Where nothing comes, None does after each tick."""
    loop, _ = play([Started("m"), LONG], tick=0.001)
    items = iter(loop)
    assert [next(items) for _ in range(4)] == [(0, Started("m")), None, None, None]


def test_ticks_lose_nothing(play):
    """However short a tick is, no event is lost or comes out of order."""
    deltas = [TextDelta(str(number)) for number in range(200)]
    loop, _ = play([Started("m"), *deltas, ENDED], tick=0.0)
    assert [item[1] for item in loop if item] == [Started("m"), *deltas, ENDED]


def test_errors_reach_the_caller(play):
    """A turn's error is raised where its next event was asked for, after what came before."""
    loop, engine = play([Started("m"), TextDelta("a"), Overloaded("Busy.")])
    items = iter(loop)
    assert [next(items), next(items)] == [(0, Started("m")), (0, TextDelta("a"))]
    with pytest.raises(Overloaded, match=r"Busy\."):
        next(items)
    assert engine.running == 0


def test_crashes_reach_the_caller(play):
    """An error that nobody foresaw is raised as it is."""
    loop, _ = play([KeyError("oops")])
    with pytest.raises(KeyError, match="oops"):
        list(loop)


def test_error_of_one_of_several(play):
    """One turn's error ends the wait for all, and closing ends the others."""
    loop, engine = play([Started("m"), LONG], [Overloaded("Busy.")])
    with pytest.raises(Overloaded):
        list(loop)
    loop.close()
    assert engine.running == 0


def test_nothing_runs_unasked(play):
    """No turn begins before its first event is asked for."""
    _, engine = play(answer("a"))
    assert engine.turns == []


def test_slow_readers_slow_turns(play):
    """What is not asked for is not produced, but for what a small buffer holds."""
    made: list[TextDelta] = []

    def endless():
        yield Started("m")
        while True:
            made.append(TextDelta(str(len(made))))
            yield made[-1]

    loop, _ = play(endless())
    items = iter(loop)
    for count in range(1000):
        next(items)
        assert len(made) <= count + BUFFERED_EVENTS + 2


@pytest.mark.parametrize("read", [0, 1, 2, 50])
def test_closing_ends_turns(play, read):
    """Closing ends what runs, wherever it stands and whether or not anybody reads."""
    endless = (TextDelta("x") for _ in iter(int, 1))
    loop, engine = play(endless, [Started("m"), LONG, ENDED])
    items = iter(loop)
    for _ in range(read):
        next(items)
    loop.close()
    assert engine.running == 0


def test_what_was_used_is_told_at_the_end(play):
    """A turn that is ended in the middle tells what it has used, and no text that nobody reads."""
    used = Used({"m": Spent(Usage(input=3, output=9), 0.5)})
    engine = ScriptedEngine(
        lambda turn: [Started("m"), TextDelta("a"), LONG], last=[TextDelta("b"), used, ENDED]
    )
    loop, _ = play([], engine=engine)
    items = iter(loop)
    assert [next(items), next(items)] == [(0, Started("m")), (0, TextDelta("a"))]
    assert loop.close() == [(0, used), (0, ENDED)]
    assert loop.close() == []


def test_what_waits_to_be_read_is_not_lost(play):
    """What a turn has used counts, also where it was told and never asked for."""
    used = Used({"m": Spent(Usage(input=3), None)})
    loop, _ = play([Started("m"), used, *[TextDelta("x")] * 500])
    assert next(iter(loop)) == (0, Started("m"))
    assert loop.close() == [(0, used)]


class _Flooding:
    """An engine that does not care whether anybody waits."""

    running = 0

    async def run(self, turn, leaving):
        yield Started("m")
        while True:
            yield TextDelta("x")


def test_an_engine_that_does_not_listen_is_ended(play):
    """A turn that goes on although nobody waits is ended after a while."""
    loop, _ = play([], engine=_Flooding(), patience=0.01)
    assert next(iter(loop)) == (0, Started("m"))
    assert loop.close() == []


def test_closing_twice(play):
    """Closing is harmless at any time, and twice."""
    loop, engine = play(answer("a"))
    assert len(list(loop)) == len(answer("a"))
    loop.close()
    loop.close()
    assert engine.running == 0


class _Lingering:
    """An engine whose turns have something to do when they are ended, in the task they ran in."""

    def __init__(self):
        self.tasks = []

    async def run(self, turn, leaving):
        self.tasks.append(asyncio.current_task())
        try:
            yield Started("m")
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0)
            self.tasks.append(asyncio.current_task())


def test_turns_clean_up_in_their_task(play):
    """A turn that is ended cleans up to the end, in the very task that it ran in."""
    loop, engine = play([], engine=_Lingering(), patience=0.01)
    assert next(iter(loop)) == (0, Started("m"))
    loop.close()
    began, ended = engine.tasks
    assert began is ended
