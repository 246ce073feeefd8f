"""The turn loop: runs a request's turns side by side for a synchronous caller.

Each request has an event loop of its own. Event loops are reused where nothing is left in them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from contextvars import Context
from typing import Any

from wrapper.errors import BadGateway
from wrapper.services.engine import Runner
from wrapper.services.events import Ended, Event, LimitsReported, Started, Used
from wrapper.services.turn import Turn

BUFFERED_EVENTS = 64
# A cancelled turn has LEAVING_SECONDS to report its usage, and CLOSING_SECONDS to end. Both are far
# more than it needs, since a turn that does not end in time leaves its process behind.
LEAVING_SECONDS = 3.0
CLOSING_SECONDS = 30.0
# Idle event loops to keep. Each holds three file descriptors.
MAX_IDLE_LOOPS = 8

Item = tuple[int, Event | BaseException | None]

_idle_loops: list[EventLoop] = []


class TurnLoop:
    """Runs the turns of one request and yields their events.

    The event loop moves only while the caller asks for the next event, so a caller that reads
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
        self._loop = acquire_event_loop()
        self._closed = False
        self._events: deque[Item] = deque()
        self._tick = tick
        self._patience = patience
        self._note = note
        self._leaving = asyncio.Event()
        self._begun: set[int] = set()
        self._unread: list[tuple[int, Event]] = []
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
        """End the turns that still run, and return their Used and Ended events that nobody read.

        Turns that have begun get *patience* seconds to report. Closing twice is harmless.
        """
        if self._closed:
            return []
        self._leaving.set()
        self._drain()
        if any(not task.done() for task in self._tasks):
            self._loop.run_until_complete(self._end())
        self._closed = True
        release_event_loop(self._loop)
        self._drain()
        return self._unread

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
        """Take the events that nobody has read, and keep those that `close` returns."""
        while self._events:
            self._keep(*self._events.popleft())

    def _keep(self, index: int, event: Event | BaseException | None) -> None:
        if isinstance(event, Used | Ended):
            self._unread.append((index, event))

    def _next(self) -> Item | None:
        if self._closed:  # another request may have the event loop by now
            raise RuntimeError("the turns were closed")
        if not self._events:
            # The event loop outlives the request and keeps the alarm's context for a while, so that
            # must not be the request's own.
            alarm = self._loop.call_later(self._tick, self._loop.stop, context=Context())
            try:
                self._loop.run_forever()
            finally:  # a signal's handler may raise, and the alarm would then stop close()
                alarm.cancel()
        return self._events.popleft() if self._events else None

    async def _play(self, engine: Runner, index: int, turn: Turn) -> None:
        """Put a turn's events among those of all turns, all in this one task.

        The SDK's cancel scopes must be left in the task that entered them.
        """
        try:
            async with aclosing(engine.run(turn, self._leaving)) as events:
                async for event in events:
                    self._note(index, event)
                    if isinstance(event, LimitsReported):
                        continue
                    if isinstance(event, Started | Used):
                        self._begun.add(index)
                    await self._put(index, event)
            await self._put(index, None)
        except asyncio.CancelledError:
            if self._leaving.is_set():
                raise
            await self._put(index, BadGateway("The turn was cancelled before it had ended."))
        except Exception as error:
            await self._put(index, error)

    async def put(self, index: int, event: Event) -> None:
        """Put an event among those of a turn. Its engine waits, in the same event loop."""
        await self._put(index, event)

    async def _put(self, index: int, item: Event | BaseException | None) -> None:
        if self._leaving.is_set():
            self._keep(index, item)
            await asyncio.sleep(0)  # so that even a turn that never waits can be cancelled
            return
        self._events.append((index, item))
        self._loop.stop()
        if len(self._events) >= BUFFERED_EVENTS:
            await asyncio.sleep(0)  # the event loop runs again once all of them are read


class EventLoop(asyncio.SelectorEventLoop):
    """An event loop that knows whether anything is left in it."""

    # What asyncio keeps of an event loop's work. It has no public names for it.
    _ready: Any
    _scheduled: list[asyncio.TimerHandle]
    _asyncgens: Any
    _default_executor: Any
    _signal_handlers: Any
    _selector: Any

    def settle(self) -> None:
        """Run the callbacks that are ready, such as those that closed pipes leave."""
        if self._ready:
            self.call_soon(self.stop)
            self.run_forever()

    def is_clean(self) -> bool:
        """Say whether it is as good as new: nothing waits, nothing was changed, nothing is open."""
        left = (
            *(self._ready, self._asyncgens, self._default_executor, self._signal_handlers),
            *(self.get_exception_handler(), self.get_task_factory(), asyncio.all_tasks(self)),
        )
        timers = any(not timer.cancelled() for timer in self._scheduled)
        own = 1  # the socket by which other threads wake it
        return not (any(left) or timers or len(self._selector.get_map()) > own)


def acquire_event_loop() -> EventLoop:
    """Return an event loop that nobody else uses. It must be released."""
    try:
        return _idle_loops.pop()
    except IndexError:
        # An event loop keeps the context that it is made in.
        return Context().run(EventLoop)


def release_event_loop(loop: EventLoop) -> None:
    """Keep *loop* for another request, or close it where anything is left in it."""
    loop.settle()
    if len(_idle_loops) < MAX_IDLE_LOOPS and loop.is_clean():
        _idle_loops.append(loop)
        return
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
