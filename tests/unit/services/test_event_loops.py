"""The loops: whoever gets one finds nothing in it of those who had it before."""

import asyncio
import gc
import os
import threading
import weakref
from contextvars import ContextVar

import pytest

from wrapper.services import turn_loop
from wrapper.services.engine import TurnLoop
from wrapper.services.turn import Turn
from wrapper.testing.engine import ScriptedEngine, answer

LONG = 3600.0
HELD: ContextVar[object] = ContextVar("HELD")


@pytest.fixture(autouse=True)
def spare(monkeypatch):
    """There are no loops to begin with, and none outlives the test."""
    kept: list[turn_loop.Loop] = []
    made: list[turn_loop.Loop] = []

    class Made(turn_loop.Loop):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(turn_loop, "_spare", kept)
    monkeypatch.setattr(turn_loop, "Loop", Made)
    yield kept
    for loop in made:
        loop.close()


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_clean_one_is_had_again():
    """A loop that is over and done with serves the next request, as often as it comes back."""
    loop = turn_loop.lend()
    for _ in range(3):
        assert loop.run_until_complete(asyncio.sleep(0, "done")) == "done"
        turn_loop.give_back(loop)
        assert turn_loop.lend() is loop


def test_one_at_a_time():
    """A loop that somebody has is nobody else's."""
    assert len({turn_loop.lend() for _ in range(5)}) == 5


def test_few_are_kept(spare):
    """However many there were at once, only a few are kept; the others are closed."""
    had = [turn_loop.lend() for _ in range(turn_loop.SPARE + 3)]
    for loop in had:
        turn_loop.give_back(loop)
    assert len(spare) == turn_loop.SPARE
    assert [loop.is_closed() for loop in had].count(True) == 3


def test_what_only_waits_to_be_run_is_run():
    """What is left for the loop's next step is done, and makes it no worse."""
    loop, done = turn_loop.lend(), threading.Event()
    loop.call_soon(done.set)
    turn_loop.give_back(loop)
    assert done.is_set()
    assert turn_loop.lend() is loop


def _again(loop):
    loop.call_soon(_again, loop)


async def _endless():
    while True:
        yield


async def _first_of(generator):
    return await anext(generator)


def _leave_task(loop, pipe):
    return loop.create_task(asyncio.sleep(LONG))


def _leave_stuck_task(loop, pipe):
    return loop.create_task(asyncio.Event().wait())


def _leave_callback(loop, pipe):
    _again(loop)


def _leave_timer(loop, pipe):
    loop.call_later(LONG, print)


def _leave_reader(loop, pipe):
    loop.add_reader(pipe[0], print)


def _leave_generator(loop, pipe):
    generator = _endless()
    loop.run_until_complete(_first_of(generator))
    return generator


def _leave_executor(loop, pipe):
    loop.run_until_complete(loop.run_in_executor(None, int))


def _leave_handler(loop, pipe):
    loop.set_exception_handler(print)


def _leave_factory(loop, pipe):
    loop.set_task_factory(lambda loop, told, **more: asyncio.Task(told, loop=loop, **more))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "leave",
    [
        *(_leave_task, _leave_stuck_task, _leave_callback, _leave_timer, _leave_reader),
        *(_leave_generator, _leave_executor, _leave_handler, _leave_factory),
    ],
)
def test_one_with_anything_left_is_closed(leave, pipe):
    """A loop that is not as it was is closed, and nobody gets it."""
    loop = turn_loop.lend()
    left = leave(loop, pipe)
    turn_loop.give_back(loop)
    assert loop.is_closed()
    assert turn_loop.lend() is not loop
    if isinstance(left, asyncio.Task):
        left.get_coro().close()


class _Littering:
    """An engine that leaves a task behind."""

    def __init__(self):
        self.ran = threading.Event()

    async def run(self, turn, leaving):
        self.task = asyncio.create_task(self._later())
        for event in answer("Hello."):
            yield event

    async def _later(self):
        await asyncio.sleep(0.01)
        self.ran.set()


def turn_of(engine):
    return TurnLoop(engine, [Turn("m", ())], 0.05)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_an_engine_leaves_behind_does_not_go_on():
    """What one request's engine has left never runs in the next one's loop."""
    engine = _Littering()
    first = turn_of(engine)
    list(first)
    first.close()
    second = turn_of(ScriptedEngine(lambda turn: [answer("a")[0], 0.1, *answer("b")[1:]]))
    assert len([item for item in second if item]) == len(answer("b"))
    second.close()
    assert not engine.ran.is_set()
    engine.task.get_coro().close()


def test_nothing_of_a_request_is_kept(spare):
    """What a request had in its context is let go with it, although its loop is kept."""

    class Body:
        """What was asked."""

    def play():
        body = Body()
        HELD.set(body)
        turns = turn_of(ScriptedEngine())
        list(turns)
        turns.close()
        return weakref.ref(body)

    held = []
    thread = threading.Thread(target=lambda: held.append(play()))
    thread.start()
    thread.join()
    gc.collect()
    assert len(spare) == 1
    assert held[0]() is None


def test_turns_that_were_closed_give_no_events():
    """Nobody gets at a loop through turns that have given it back."""
    turns = turn_of(ScriptedEngine())
    items = iter(turns)
    next(items)
    turns.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(items)
