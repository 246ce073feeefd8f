"""The engine: what can run turns, and the loop that hands their events to a synchronous caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from wrapper.services.catalog import Model
from wrapper.services.turn import Event, Turn

BUFFERED_EVENTS = 64
CLOSING_SECONDS = 5.0


class Engine(Protocol):
    """Runs turns, once started and until closed; both may be said more than once."""

    def start(self) -> None: ...

    def run(self, turn: Turn) -> AsyncGenerator[Event]:
        """Yield the turn's events, Started first and Ended last, or raise an ApiError.

        Closing the generator ends the turn and leaves nothing of it running.
        """
        ...

    def health(self) -> dict[str, Any]:
        """Return `status` (ok, starting, degraded, failing) and its reasons, without waiting."""
        ...

    def models(self) -> Sequence[Model]:
        """Return the models that the engine says it has, without waiting."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return `method`, `reason`, `ready`, `missing`, `cli` and `account`; may take seconds.

        `missing` names what is missing and its mend. Nothing in it is secret or personal.
        """
        ...

    def close(self) -> None: ...


class TurnLoop:
    """One request's event loop, in which its turns run side by side.

    The loop moves only while the caller asks for the next event, so a caller that reads
    slowly slows the turns down instead of filling memory.
    """

    def __init__(self, engine: Engine, turns: Sequence[Turn], tick: float):
        self._loop = asyncio.new_event_loop()
        self._events: asyncio.Queue[tuple[int, Event | BaseException | None]]
        self._events = asyncio.Queue(BUFFERED_EVENTS)
        self._tick = tick
        self._closing = False
        self._tasks = [
            self._loop.create_task(self._play(engine, index, turn))
            for index, turn in enumerate(turns)
        ]

    def __iter__(self) -> Iterator[tuple[int, Event] | None]:
        """Yield each event with its turn's index, and None after a tick without any."""
        running = len(self._tasks)
        while running:
            if (item := self._next()) is None:
                yield None
                continue
            index, event = item
            if isinstance(event, BaseException):
                raise event
            if event is None:
                running -= 1
            else:
                yield index, event

    def close(self) -> None:
        """End what still runs; closing twice is harmless."""
        if self._loop.is_closed():
            return
        self._closing = True
        for task in self._tasks:
            task.cancel()
        ending = asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)
        self._loop.run_until_complete(ending)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _next(self) -> tuple[int, Event | BaseException | None] | None:
        if self._events.empty():
            alarm = self._loop.call_later(self._tick, self._loop.stop)
            self._loop.run_forever()
            alarm.cancel()
        return None if self._events.empty() else self._events.get_nowait()

    async def _play(self, engine: Engine, index: int, turn: Turn) -> None:
        """Put a turn's events into the queue, all in this one task.

        The SDK's cancel scopes must be left in the task that entered them.
        """
        try:
            async with aclosing(engine.run(turn)) as events:
                async for event in events:
                    await self._put(index, event)
            await self._put(index, None)
        except Exception as error:
            await self._put(index, error)

    async def _put(self, index: int, item: Event | BaseException | None) -> None:
        if self._closing:
            return
        await self._events.put((index, item))
        self._loop.stop()
