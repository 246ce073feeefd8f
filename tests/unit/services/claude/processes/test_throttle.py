"""The gate: so many go through at once, in their order, and nobody is forgotten."""

import asyncio

import pytest

from wrapper.services.claude.processes.throttle import Throttle

LONG = 100.0


async def rest():
    """Let all tasks go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Visitors:
    """Tasks that pass a gate, each of which a test lets go on."""

    def __init__(self, gate):
        self.gate = gate
        self.inside = []
        self.done = {}

    def send(self, name):
        self.done[name] = asyncio.Event()
        return asyncio.create_task(self._pass(name))

    async def _pass(self, name):
        async with self.gate.slot():
            self.inside.append(name)
            await self.done[name].wait()
        self.inside.remove(name)


def test_width_and_order():
    """No more are inside than there is room for, and whoever came first is next."""

    async def play():
        visitors = Visitors(Throttle(2, LONG))
        tasks = [visitors.send(name) for name in "abcd"]
        await rest()
        assert visitors.inside == ["a", "b"]
        visitors.done["b"].set()
        await rest()
        assert visitors.inside == ["a", "c"]
        visitors.done["a"].set()
        await rest()
        assert visitors.inside == ["c", "d"]
        for name in "cd":
            visitors.done[name].set()
        await asyncio.gather(*tasks)
        assert visitors.gate.idle()

    asyncio.run(play())


def test_idle():
    """It is idle exactly while nobody is inside."""

    async def play():
        gate = Throttle(2, LONG)
        assert gate.idle()
        async with gate.slot() as done:
            assert not gate.idle()
            done()
            assert gate.idle()
            done()
        assert gate.idle()

    asyncio.run(play())


def test_whoever_is_long_inside_holds_up_nobody():
    """After so many seconds the next one is let in, whether or not the one before has said so."""

    async def play():
        gate = Throttle(1, 0.01)
        async with gate.slot(), asyncio.timeout(10), gate.slot():
            assert not gate.idle()
        assert gate.idle()

    asyncio.run(play())


@pytest.mark.parametrize("gone", ["b", "bc", "c"])
def test_those_who_leave_the_line(gone):
    """Whoever gives up waiting is passed over, and takes nobody's place."""

    async def play():
        visitors = Visitors(Throttle(1, LONG))
        tasks = {name: visitors.send(name) for name in "abcd"}
        await rest()
        for name in gone:
            tasks[name].cancel()
        await rest()
        for name in "abcd":
            visitors.done[name].set()
        results = await asyncio.gather(*tasks.values(), return_exceptions=True)
        left = [name for name, end in zip(tasks, results, strict=True) if end is not None]
        assert left == list(gone)
        assert visitors.gate.idle()

    asyncio.run(play())


def test_leaving_just_when_let_in():
    """Whoever is let in at the moment of giving up lets the next one in."""

    async def play():
        visitors = Visitors(Throttle(1, LONG))
        tasks = {name: visitors.send(name) for name in "abc"}
        await rest()
        visitors.done["a"].set()
        await asyncio.sleep(0)  # a has gone, b was let in, and does not know it yet
        tasks["b"].cancel()
        await rest()
        assert visitors.inside == ["c"]
        visitors.done["c"].set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert visitors.gate.idle()

    asyncio.run(play())


def test_failing_inside():
    """Whoever fails inside has left."""

    async def play():
        gate = Throttle(1, LONG)
        with pytest.raises(ZeroDivisionError):
            async with gate.slot():
                raise ZeroDivisionError
        assert gate.idle()

    asyncio.run(play())


def test_loops_of_their_own():
    """Whoever waits in another thread's loop is let in, too."""
    gate = Throttle(1, LONG)

    async def enter():
        async with gate.slot():
            return "in"

    async def play():
        async with gate.slot():
            other = asyncio.get_running_loop().run_in_executor(None, asyncio.run, enter())
            while not gate._waiting:
                await asyncio.sleep(0)
            assert not other.done()
        assert await other == "in"

    asyncio.run(asyncio.wait_for(play(), 60))
