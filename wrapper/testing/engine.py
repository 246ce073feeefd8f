"""An engine that needs no process: it plays events that a test has written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from wrapper.services.catalog import Model
from wrapper.services.turn import Ended, Ending, Event, Started, TextDelta, Turn, Usage

Step = Event | float | Exception


def answer(text: str) -> list[Step]:
    """Return the steps of a turn that says *text*."""
    ended = Ended(Ending.DONE, Usage(input=3, output=2), 0.001)
    return [Started("scripted-model"), TextDelta(text), ended]


class ScriptedEngine:
    """Plays *script(turn)*: an event is yielded, seconds are waited for, an error is raised.

    `turns` are the turns that it was asked to run, `running` how many are under way.
    """

    def __init__(self, script: Callable[[Turn], Iterable[Step]] = lambda turn: answer("Hello.")):
        self._script = script
        self.turns: list[Turn] = []
        self.running = 0
        self.started = False

    def start(self) -> None:
        self.started = True

    async def run(self, turn: Turn) -> AsyncGenerator[Event]:
        self.turns.append(turn)
        self.running += 1
        try:
            for step in self._script(turn):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.running -= 1

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def models(self) -> list[Model]:
        return [Model("scripted-model", "scripted-model")]

    def describe(self) -> dict[str, Any]:
        cli = {"version": None, "path": None, "error": None}
        told = {"method": "scripted", "reason": "a test", "ready": True, "missing": []}
        return {**told, "cli": cli, "account": {}}

    def close(self) -> None:
        self.started = False
