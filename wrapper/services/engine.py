"""The engine: what can run turns, and the loop that hands their events to a synchronous caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from contextvars import Context
from typing import Any, Protocol

from wrapper.services import turn_loop
from wrapper.services.attachments.images import ImageInfo
from wrapper.services.catalog import Model
from wrapper.services.events import Ended, Event, Started, Used
from wrapper.services.turn import SessionKey, Turn

BUFFERED_EVENTS = 64
# What a turn gets to tell what it used, and then to be gone: far more than it needs, since one that
# is not gone by then leaves its process behind.
LEAVING_SECONDS = 3.0
CLOSING_SECONDS = 30.0

Item = tuple[int, Event | BaseException | None]


class Runner(Protocol):
    """Runs turns."""

    def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events, Started first and Ended last, or raise an ApiError.

        Used comes as often as more is known, its last one before Ended or the error. Once
        *leaving* is set nobody waits for the answer: the turn is to end soon, and to tell what it
        has used. Closing the generator ends it at once and leaves nothing of it running.
        """
        ...


class Engine(Runner, Protocol):
    """Runs turns, once started and until closed; both may be said more than once."""

    def start(self) -> None: ...

    def health(self) -> dict[str, Any]:
        """Return `status` (ok, starting, degraded, failing) and its reasons, without waiting."""
        ...

    def models(self) -> Sequence[Model]:
        """Return the models that the engine says it has, without waiting."""
        ...

    def shrinks(self, picture: ImageInfo, model: str, profile: str) -> bool:
        """Say whether *model*, named by its full id, gets *picture* smaller than it was sent."""
        ...

    def parked(self) -> Sequence[SessionKey]:
        """Return the sessions for which something is kept that can go on, without waiting."""
        ...

    def forget(self, session: SessionKey) -> None:
        """Drop all that is kept for a session that is gone, in the background."""
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
    slowly slows the turns down instead of filling memory. *note* is called with each event before
    its turn goes on.
    """

    def __init__(
        self,
        engine: Runner,
        turns: Sequence[Turn],
        tick: float,
        patience: float = LEAVING_SECONDS,
        note: Callable[[int, Event], None] = lambda index, event: None,
    ):
        self._loop = turn_loop.lend()
        self._closed = False
        self._events: asyncio.Queue[Item] = asyncio.Queue(BUFFERED_EVENTS)
        self._tick = tick
        self._patience = patience
        self._note = note
        self._leaving = asyncio.Event()
        self._begun: set[int] = set()
        self._late: list[tuple[int, Event]] = []
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

    def close(self) -> list[tuple[int, Event]]:
        """End what still runs, and return what the turns have used that nobody has asked for.

        Those that have begun get a moment to tell it. Closing twice is harmless.
        """
        if self._closed:
            return []
        self._leaving.set()
        self._drain()
        if any(not task.done() for task in self._tasks):
            self._loop.run_until_complete(self._end())
        self._closed = True
        turn_loop.give_back(self._loop)
        self._drain()
        return self._late

    async def _end(self) -> None:
        begun = [self._tasks[index] for index in self._begun]
        for task in set(self._tasks).difference(begun):
            task.cancel()
        if begun:
            await asyncio.wait(begun, timeout=self._patience)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)

    def _drain(self) -> None:
        """Keep what waits in the queue, which lets go on who waits for a place in it."""
        while not self._events.empty():
            self._keep(*self._events.get_nowait())

    def _keep(self, index: int, event: Event | BaseException | None) -> None:
        if isinstance(event, Used | Ended):
            self._late.append((index, event))

    def _next(self) -> Item | None:
        if self._closed:  # and the loop another's
            raise RuntimeError("the turns were closed")
        if self._events.empty():
            # In a context of its own: the loop, which outlives the request, keeps it for a while.
            alarm = self._loop.call_later(self._tick, self._loop.stop, context=Context())
            self._loop.run_forever()
            alarm.cancel()
        return None if self._events.empty() else self._events.get_nowait()

    async def _play(self, engine: Runner, index: int, turn: Turn) -> None:
        """Put a turn's events into the queue, all in this one task.

        The SDK's cancel scopes must be left in the task that entered them.
        """
        try:
            async with aclosing(engine.run(turn, self._leaving)) as events:
                async for event in events:
                    self._note(index, event)
                    if isinstance(event, Started | Used):
                        self._begun.add(index)
                    await self._put(index, event)
            await self._put(index, None)
        except Exception as error:
            await self._put(index, error)

    async def _put(self, index: int, item: Event | BaseException | None) -> None:
        if self._leaving.is_set():
            self._keep(index, item)
            await asyncio.sleep(0)  # so that one that floods can be ended all the same
            return
        await self._events.put((index, item))
        if not self._leaving.is_set():  # else the loop runs until all has ended
            self._loop.stop()
