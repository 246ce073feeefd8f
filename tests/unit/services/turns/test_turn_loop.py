"""The turn loop: turns run side by side, no faster than the caller reads, in a clean event loop."""

import asyncio
import gc
import os
import sys
import threading
import weakref
from contextvars import ContextVar

import pytest

from wrapper.errors import BadGateway, Overloaded
from wrapper.services.events import Ended, Ending, Started, TextDelta, Used
from wrapper.services.spent import Spent, Usage
from wrapper.services.turn import Turn
from wrapper.services.turns import turn_loop
from wrapper.services.turns.turn_loop import BUFFERED_EVENTS, TurnLoop
from wrapper.testing.engine import ScriptedEngine, answer

pytestmark = pytest.mark.packages

ENDED = Ended(Ending.DONE, Usage(), None)
LONG = 3600.0
HELD: ContextVar[object] = ContextVar("HELD")


@pytest.fixture
def play():
    """Make a turn loop for one script or several; it is closed after the test."""
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
    """A turn's events come in order with the turn's index, and then the iteration ends."""
    loop, _ = play(answer("Hello."))
    assert list(loop) == [(0, event) for event in answer("Hello.")]


def test_several_turns(play):
    """The events of each of several turns come completely and in order."""
    loop, engine = play(*(answer(text) for text in "abc"))
    events = list(loop)
    for index, text in enumerate("abc"):
        assert [event for at, event in events if at == index] == answer(text)
    assert len(events) == 3 * len(answer("a"))
    assert engine.running == 0


def test_side_by_side(play):
    """A silent turn does not delay the others."""
    loop, _ = play([Started("slow"), LONG, ENDED], answer("quick"))
    items = iter(loop)
    items_read = [next(items) for _ in range(1 + len(answer("quick")))]
    assert [event for index, event in items_read if index == 1] == answer("quick")


def test_ticks(play):
    """Without events the loop yields None after each tick."""
    loop, _ = play([Started("m"), LONG], tick=0.001)
    items = iter(loop)
    assert [next(items) for _ in range(4)] == [(0, Started("m")), None, None, None]


def test_a_signal_that_raises(play):
    """If a signal's handler raises while events are awaited, closing waits for the turns' ends."""

    class Interrupted(ScriptedEngine):
        async def run(self, turn, leaving):
            yield Started("m")
            asyncio.get_running_loop().call_soon(sys.exit)
            await leaving.wait()
            await asyncio.sleep(0.05)  # several ticks
            yield ENDED

    loop, _ = play([], engine=Interrupted(lambda turn: []), tick=0.01)
    items = iter(loop)
    assert next(items) == (0, Started("m"))
    with pytest.raises(SystemExit):
        next(items)
    assert loop.close() == [(0, ENDED)]


def test_ticks_lose_nothing(play):
    """With ticks of any length no event is lost or out of order."""
    deltas = [TextDelta(str(number)) for number in range(200)]
    loop, _ = play([Started("m"), *deltas, ENDED], tick=0.0)
    assert [item[1] for item in loop if item] == [Started("m"), *deltas, ENDED]


def test_errors_reach_the_caller(play):
    """A turn's error is raised in place of its next event, after the events before it."""
    loop, engine = play([Started("m"), TextDelta("a"), Overloaded("Busy.")])
    items = iter(loop)
    assert [next(items), next(items)] == [(0, Started("m")), (0, TextDelta("a"))]
    with pytest.raises(Overloaded, match=r"Busy\."):
        next(items)
    assert engine.running == 0


def test_crashes_reach_the_caller(play):
    """An unexpected exception is raised unchanged."""
    loop, _ = play([KeyError("oops")])
    with pytest.raises(KeyError, match="oops"):
        list(loop)


def test_a_turn_that_is_cancelled(play):
    """A turn that something else than the loop cancels ends with an error."""

    class Cancelled(ScriptedEngine):
        async def run(self, turn, leaving):
            yield Started("m")
            raise asyncio.CancelledError

    loop, _ = play([], engine=Cancelled(), tick=0.01)
    items = iter(loop)
    assert next(items) == (0, Started("m"))
    with pytest.raises(BadGateway, match="cancelled"):
        assert next(items)


def test_error_of_one_of_several(play):
    """The error of one turn is raised at once, and closing ends the other turns."""
    loop, engine = play([Started("m"), LONG], [Overloaded("Busy.")])
    with pytest.raises(Overloaded):
        list(loop)
    loop.close()
    assert engine.running == 0


def test_turns_start_lazily(play):
    """No turn begins before the first event is read."""
    _, engine = play(answer("a"))
    assert engine.turns == []


def test_slow_readers_slow_turns(play):
    """A turn runs ahead of its reader by no more than the buffer's size."""
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
    """Closing ends running turns, however much of them was read."""
    endless = (TextDelta("x") for _ in iter(int, 1))
    loop, engine = play(endless, [Started("m"), LONG, ENDED])
    items = iter(loop)
    for _ in range(read):
        next(items)
    loop.close()
    assert engine.running == 0


def test_close_returns_usage(play):
    """Closing in the middle of a turn returns its usage and its end, and none of its text."""
    used = Used({"m": Spent(Usage(input=3, output=9), 0.5)})
    engine = ScriptedEngine(
        lambda turn: [Started("m"), TextDelta("a"), LONG], last=[TextDelta("b"), used, ENDED]
    )
    loop, _ = play([], engine=engine)
    items = iter(loop)
    assert [next(items), next(items)] == [(0, Started("m")), (0, TextDelta("a"))]
    assert loop.close() == [(0, used), (0, ENDED)]
    assert loop.close() == []


def test_close_returns_queued_usage(play):
    """Closing also returns usage that waited in the queue."""
    used = Used({"m": Spent(Usage(input=3), None)})
    loop, _ = play([Started("m"), used, *[TextDelta("x")] * 500])
    assert next(iter(loop)) == (0, Started("m"))
    assert loop.close() == [(0, used)]


class _Flooding:
    """An engine that ignores *leaving*."""

    running = 0

    async def run(self, turn, leaving):
        yield Started("m")
        while True:
            yield TextDelta("x")


def test_an_engine_that_ignores_leaving_is_cancelled(play):
    """A turn that ignores *leaving* is cancelled after the grace period."""
    loop, _ = play([], engine=_Flooding(), patience=0.01)
    assert next(iter(loop)) == (0, Started("m"))
    assert loop.close() == []


def test_closing_twice(play):
    """Closing a second time does nothing."""
    loop, engine = play(answer("a"))
    assert len(list(loop)) == len(answer("a"))
    loop.close()
    loop.close()
    assert engine.running == 0


class _Lingering:
    """An engine whose turns await something when they are cancelled."""

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
    """A cancelled turn finishes its clean-up, in the task that it ran in."""
    loop, engine = play([], engine=_Lingering(), patience=0.01)
    assert next(iter(loop)) == (0, Started("m"))
    loop.close()
    began, ended = engine.tasks
    assert began is ended


@pytest.fixture(autouse=True)
def idle_loops(monkeypatch):
    """Start without idle event loops, and close those that the test makes."""
    idle: list[turn_loop.EventLoop] = []
    made: list[turn_loop.EventLoop] = []

    class Made(turn_loop.EventLoop):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(turn_loop, "_idle_loops", idle)
    monkeypatch.setattr(turn_loop, "EventLoop", Made)
    yield idle
    for loop in made:
        loop.close()


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_clean_event_loop_is_reused():
    """An event loop with nothing left in it serves the next request, again and again."""
    loop = turn_loop.acquire_event_loop()
    for _ in range(3):
        assert loop.run_until_complete(asyncio.sleep(0, "done")) == "done"
        turn_loop.release_event_loop(loop)
        assert turn_loop.acquire_event_loop() is loop


def test_event_loops_are_not_shared():
    """Two requests never have the same event loop at once."""
    assert len({turn_loop.acquire_event_loop() for _ in range(5)}) == 5


def test_few_idle_event_loops_are_kept(idle_loops):
    """At most MAX_IDLE_LOOPS event loops are kept; the others are closed."""
    loops = [turn_loop.acquire_event_loop() for _ in range(turn_loop.MAX_IDLE_LOOPS + 3)]
    for loop in loops:
        turn_loop.release_event_loop(loop)
    assert len(idle_loops) == turn_loop.MAX_IDLE_LOOPS
    assert [loop.is_closed() for loop in loops].count(True) == 3


def test_ready_callbacks_run_on_release():
    """A callback that is ready still runs, and the event loop stays usable."""
    loop, done = turn_loop.acquire_event_loop(), threading.Event()
    loop.call_soon(done.set)
    turn_loop.release_event_loop(loop)
    assert done.is_set()
    assert turn_loop.acquire_event_loop() is loop


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
    loop.set_task_factory(
        lambda loop, coroutine, **more: asyncio.Task(coroutine, loop=loop, **more)
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "leave",
    [
        *(_leave_task, _leave_stuck_task, _leave_callback, _leave_timer, _leave_reader),
        *(_leave_generator, _leave_executor, _leave_handler, _leave_factory),
    ],
)
def test_a_used_event_loop_is_closed(leave, pipe):
    """An event loop in which anything is left is closed and not reused."""
    loop = turn_loop.acquire_event_loop()
    left = leave(loop, pipe)
    turn_loop.release_event_loop(loop)
    assert loop.is_closed()
    assert turn_loop.acquire_event_loop() is not loop
    if isinstance(left, asyncio.Task):
        left.get_coro().close()


class _Littering:
    """An engine whose turns leave a task behind."""

    def __init__(self):
        self.left = False
        self.ran = threading.Event()

    async def run(self, turn, leaving):
        self.task = asyncio.create_task(self._later())
        for event in answer("Hello."):
            yield event

    async def _later(self):
        while not self.left:
            await asyncio.sleep(0.01)
        self.ran.set()


def turn_of(engine):
    return TurnLoop(engine, [Turn("m", ())], 0.05)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_leftover_tasks_do_not_run():
    """A task that one request leaves behind never runs in the event loop of the next one."""
    engine = _Littering()
    first = turn_of(engine)
    list(first)
    first.close()
    engine.left = True
    second = turn_of(ScriptedEngine(lambda turn: [answer("a")[0], 0.1, *answer("b")[1:]]))
    assert len([item for item in second if item]) == len(answer("b"))
    second.close()
    assert not engine.ran.is_set()
    engine.task.get_coro().close()


def test_an_idle_event_loop_keeps_no_context(idle_loops):
    """An idle event loop keeps nothing of its request's context alive."""

    class Body:
        """Stands for a request's body."""

    def play():
        body = Body()
        HELD.set(body)
        turns = turn_of(ScriptedEngine())
        list(turns)
        turns.close()
        return weakref.ref(body)

    references = []
    thread = threading.Thread(target=lambda: references.append(play()))
    thread.start()
    thread.join()
    gc.collect()
    assert len(idle_loops) == 1
    assert references[0]() is None


def test_no_events_after_close():
    """A closed turn loop raises instead of using an event loop that it has released."""
    turns = turn_of(ScriptedEngine())
    items = iter(turns)
    next(items)
    turns.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(items)
