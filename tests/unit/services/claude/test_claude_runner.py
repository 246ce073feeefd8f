"""The runner: when a turn takes its process."""

import asyncio
from contextlib import aclosing, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.throttle import Throttle
from wrapper.services.claude.runner import ClaudeRunner
from wrapper.services.turn import Message, Turn
from wrapper.settings import Settings

TURNS = 3


class FakeLeases:
    """Leases for which turns wait, with a throttle that lets one turn through."""

    def __init__(self):
        self.throttle = Throttle(1, 100.0, 100.0)
        trials = SimpleNamespace(current=lambda profile: Qualification(trusted=True))
        self.supervisor = SimpleNamespace(trials=trials)
        self.waiting = 0

    async def lease(self, turn):
        self.waiting += 1
        await asyncio.Event().wait()


@pytest.mark.parametrize(("background", "leases_taken"), [(False, TURNS), (True, 1)])
def test_who_takes_a_process(background, leases_taken):
    """A turn in the background takes a process only once it may use the CPU."""
    leases = FakeLeases()
    unused: Any = None
    runner = ClaudeRunner(Settings(), cast(Any, leases), unused, unused, unused)
    turn = Turn("sonnet", (Message("user", ("Hi",)),), profile="plain", background=background)

    async def run():
        async with aclosing(runner.run(turn, asyncio.Event())) as events:
            async for _ in events:
                pass

    async def play():
        tasks = [asyncio.create_task(run()) for _ in range(TURNS)]
        for _ in range(20):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(play())
    assert leases.waiting == leases_taken
    assert leases.throttle.idle()
