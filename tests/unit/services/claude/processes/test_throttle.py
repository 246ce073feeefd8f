"""The throttle: so many turns at once, in their order, and no turn is forgotten."""

import asyncio

import pytest

from wrapper.services.claude.processes import throttle as module
from wrapper.services.claude.processes.throttle import PACE_SECONDS, SPARE_SECONDS, Throttle

LONG = 100.0


async def rest():
    """Let all tasks run as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Tasks:
    """Tasks that hold slots until the test says so."""

    def __init__(self, throttle):
        self.throttle = throttle
        self.inside = []
        self.done = {}

    def send(self, name, **options):
        self.done[name] = asyncio.Event()
        return asyncio.create_task(self._pass(name, **options))

    async def _pass(self, name, **options):
        async with self.throttle.slot(**options):
            self.inside.append(name)
            await self.done[name].wait()
        self.inside.remove(name)


def test_width_and_order():
    """No more tasks than slots are inside, and the task that came first is next."""

    async def play():
        tasks_inside = Tasks(Throttle(2, LONG, LONG))
        tasks = [tasks_inside.send(name) for name in "abcd"]
        await rest()
        assert tasks_inside.inside == ["a", "b"]
        tasks_inside.done["b"].set()
        await rest()
        assert tasks_inside.inside == ["a", "c"]
        tasks_inside.done["a"].set()
        await rest()
        assert tasks_inside.inside == ["c", "d"]
        for name in "cd":
            tasks_inside.done[name].set()
        await asyncio.gather(*tasks)
        assert tasks_inside.throttle.idle()

    asyncio.run(play())


def test_background():
    """A task in the background is next only if no other one waits."""
    now = 0.0

    async def play():
        nonlocal now
        tasks_inside = Tasks(Throttle(1, LONG, LONG, lambda: now))
        kinds = {"a": False, "b": True, "c": True, "d": False}
        tasks = [tasks_inside.send(name, background=later) for name, later in kinds.items()]
        for name in "adbc":
            await rest()
            assert tasks_inside.inside == [name]
            now += PACE_SECONDS
            tasks_inside.done[name].set()
        await asyncio.gather(*tasks)
        assert tasks_inside.throttle.idle()

    asyncio.run(play())


def test_slots_of_the_background():
    """Tasks in the background take no slot from others, and get none that others use."""
    now = 0.0

    async def play():
        nonlocal now
        tasks_inside = Tasks(Throttle(1, LONG, LONG, lambda: now))
        later = [tasks_inside.send(name, background=True) for name in "ab"]
        await rest()
        assert tasks_inside.throttle.idle()
        awaited = tasks_inside.send("c")
        await rest()
        assert tasks_inside.inside == ["a", "c"]
        tasks_inside.done["a"].set()
        await rest()
        assert tasks_inside.inside == ["c"]
        now += PACE_SECONDS
        tasks_inside.done["c"].set()
        await rest()
        assert tasks_inside.inside == ["b"]
        tasks_inside.done["b"].set()
        await asyncio.gather(*later, awaited)

    asyncio.run(play())


def test_a_core_for_those_who_wait():
    """While others are inside, and a moment longer, the background leaves a slot free."""
    now = 0.0

    async def play():
        nonlocal now
        tasks_inside = Tasks(Throttle(2, LONG, LONG, lambda: now))
        awaited = tasks_inside.send("a")
        await rest()
        later = [tasks_inside.send(name, background=True) for name in "bcde"]
        await rest()
        assert tasks_inside.inside == ["a"]
        tasks_inside.done["a"].set()
        await rest()
        assert tasks_inside.inside == ["b"]
        now += SPARE_SECONDS
        tasks_inside.done["b"].set()
        await rest()
        assert tasks_inside.inside == ["c", "d"]
        for name in "cde":
            tasks_inside.done[name].set()
        await asyncio.gather(awaited, *later)

    asyncio.run(play())


def test_pace():
    """Beside turns for which somebody waits, those in the background begin one by one."""
    now = 0.0

    async def play():
        nonlocal now
        tasks_inside = Tasks(Throttle(3, LONG, LONG, lambda: now))
        awaited = tasks_inside.send("a")
        await rest()
        later = [tasks_inside.send(name, background=True) for name in "bcd"]
        await rest()
        assert tasks_inside.inside == ["a", "b"]
        tasks_inside.done["b"].set()
        await rest()
        assert tasks_inside.inside == ["a"]
        now += PACE_SECONDS / 2  # of two cores
        tasks_inside.done["a"].set()
        await rest()
        assert tasks_inside.inside == ["c"]
        now += SPARE_SECONDS
        tasks_inside.done["c"].set()
        await rest()
        assert tasks_inside.inside == ["d"]
        tasks_inside.done["d"].set()
        await asyncio.gather(awaited, *later)

    asyncio.run(play())


def test_the_background_looks_itself(monkeypatch):
    """Once its time has come a task in the background begins, also if no other one leaves."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    now = 0.0

    async def play():
        nonlocal now
        throttle = Throttle(1, LONG, LONG, lambda: now)
        async with throttle.slot(background=True), throttle.slot():
            pass
        waiting = asyncio.create_task(throttle.slot(background=True).__aenter__())
        await rest()
        assert not waiting.done()
        now += PACE_SECONDS
        async with asyncio.timeout(10):
            (await waiting).free()

    asyncio.run(play())


def test_the_background_has_more_time():
    """A task in the background holds its slot for a time of its own."""

    async def play():
        throttle = Throttle(1, LONG, 0.01)
        first, second = (throttle.slot(background=True) for _ in range(2))
        async with first, asyncio.timeout(10), second:
            pass

    asyncio.run(play())


def test_idle():
    """The throttle is idle exactly while no task is inside."""

    async def play():
        throttle = Throttle(2, LONG, LONG)
        assert throttle.idle()
        async with throttle.slot() as slot:
            assert not throttle.idle()
            slot.free()
            assert throttle.idle()
            slot.free()
        assert throttle.idle()

    asyncio.run(play())


def test_whoever_is_long_inside_holds_up_nobody():
    """A slot that was held for too long goes to the next task."""

    async def play():
        throttle = Throttle(1, 0.01, LONG)
        async with throttle.slot(), asyncio.timeout(10), throttle.slot():
            pass
        assert throttle.idle()

    asyncio.run(play())


def test_an_event_loop_that_stands_still(monkeypatch):
    """A slot that was held for too long goes to the next task, also while its loop stands still."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    now = 0.0
    throttle = Throttle(1, LONG, LONG, lambda: now)

    async def play():
        nonlocal now
        waiting = asyncio.create_task(throttle.slot().__aenter__())
        await rest()
        assert not waiting.done()
        now += LONG
        async with asyncio.timeout(10):
            (await waiting).free()

    still, held = asyncio.new_event_loop(), throttle.slot()
    still.run_until_complete(held.__aenter__())
    asyncio.run(play())
    still.run_until_complete(held.__aexit__(None, None, None))
    still.close()
    assert throttle.idle()


def test_free_soon():
    """A turn whose request is about to be sent frees its slot a moment later, and only once."""

    async def play():
        throttle = Throttle(1, LONG, LONG)
        async with throttle.slot() as slot, asyncio.timeout(10):
            slot.free_soon(0.0)
            assert not throttle.idle()
            async with throttle.slot():
                slot.free_soon(0.0)
                slot.free()
                await rest()
                assert not throttle.idle()
        assert throttle.idle()

    asyncio.run(play())


@pytest.mark.parametrize("gone", ["b", "bc", "c"])
def test_those_who_leave_the_line(gone):
    """A task that stops waiting is skipped, and takes no slot."""

    async def play():
        tasks_inside = Tasks(Throttle(1, LONG, LONG))
        tasks = {name: tasks_inside.send(name) for name in "abcd"}
        await rest()
        for name in gone:
            tasks[name].cancel()
        await rest()
        for name in "abcd":
            tasks_inside.done[name].set()
        results = await asyncio.gather(*tasks.values(), return_exceptions=True)
        left = [name for name, end in zip(tasks, results, strict=True) if end is not None]
        assert left == list(gone)
        assert tasks_inside.throttle.idle()

    asyncio.run(play())


def test_leaving_just_when_let_in():
    """A task that stops waiting just as it gets a slot passes it on."""

    async def play():
        tasks_inside = Tasks(Throttle(1, LONG, LONG))
        tasks = {name: tasks_inside.send(name) for name in "abc"}
        await rest()
        tasks_inside.done["a"].set()
        await asyncio.sleep(0)  # a has gone, b was let in, and does not know it yet
        tasks["b"].cancel()
        await rest()
        assert tasks_inside.inside == ["c"]
        tasks_inside.done["c"].set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert tasks_inside.throttle.idle()

    asyncio.run(play())


def test_failing_inside():
    """A task that fails inside frees its slot."""

    async def play():
        throttle = Throttle(1, LONG, LONG)
        with pytest.raises(ZeroDivisionError):
            async with throttle.slot():
                raise ZeroDivisionError
        assert throttle.idle()

    asyncio.run(play())


def test_loops_of_their_own():
    """A task in another thread's loop gets a slot, too."""
    throttle = Throttle(1, LONG, LONG)

    async def enter():
        async with throttle.slot():
            return "in"

    async def play():
        async with throttle.slot():
            other = asyncio.get_running_loop().run_in_executor(None, asyncio.run, enter())
            while not throttle._waiting:
                await asyncio.sleep(0)
            assert not other.done()
        assert await other == "in"

    asyncio.run(asyncio.wait_for(play(), 60))
