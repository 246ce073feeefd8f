"""An engine without processes, which plays the events of a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Any

from wrapper.errors import Unavailable
from wrapper.services.attachments.images import ImageInfo
from wrapper.services.catalog import Model
from wrapper.services.events import Ended, Ending, Event, RawEvent, Started, TextDelta, Used
from wrapper.services.spent import Spent, Usage
from wrapper.services.turn import SessionKey, Turn

Step = Event | float | Exception


def answer(text: str) -> list[Step]:
    """Return the steps of a turn that answers *text*."""
    usage, cost = Usage(input=3, output=2), 0.001
    used = Used({"scripted-model": Spent(usage, cost)})
    return [Started("scripted-model"), TextDelta(text), used, Ended(Ending.DONE, usage, cost)]


def raw_answer(text: str) -> list[Step]:
    """Return the steps of a turn with a `body`, which answers *text*."""
    started, used, ended = (step for step in answer(text) if not isinstance(step, TextDelta))
    return [started, *map(RawEvent, _raw_events(text)), used, ended]


def _raw_events(text: str) -> Iterator[dict[str, Any]]:
    message = {"id": "msg_scripted", "type": "message", "role": "assistant", "content": []}
    stop = {"stop_reason": None, "stop_sequence": None}
    usage = {"input_tokens": 3, "output_tokens": 1}
    model = {"model": "scripted-model"}
    yield {"type": "message_start", "message": {**message, **model, **stop, "usage": usage}}
    block = {"type": "text", "text": ""}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    delta = {"type": "text_delta", "text": text}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    ending = {**stop, "stop_reason": "end_turn"}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 2}}
    yield {"type": "message_stop"}


def _hello(turn: Turn) -> list[Step]:
    return answer("Hello.") if turn.body is None else raw_answer("Hello.")


class ScriptedEngine:
    """Plays *script(turn)*: it yields events, waits for seconds, and raises errors.

    When the client has left, it plays *last* instead and ends. `turns` are all turns that it has
    run, and `running` is how many are running.
    """

    takes_bodies = True

    def __init__(
        self,
        script: Callable[[Turn], Iterable[Step]] = _hello,
        last: Iterable[Event] = (),
    ):
        self._script = script
        self._last = last
        self.turns: list[Turn] = []
        self.running = 0
        self.started = False
        self._closed = False

    def start(self) -> None:
        self.started = not self._closed

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        if self._closed:
            raise Unavailable("The gateway is shutting down.")
        self.turns.append(turn)
        self.running += 1
        try:
            for step in self._script(turn):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await _wait(leaving, step)
                if leaving.is_set():
                    for event in self._last:
                        yield event
                    return
                if not isinstance(step, float):
                    yield step
        finally:
            self.running -= 1

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def models(self) -> list[Model]:
        return [Model("scripted-model", "scripted-model")]

    def shrinks(self, picture: ImageInfo, model: str, profile: str) -> bool:
        """Return True for images wider than 1000 pixels, for any model."""
        return picture.width > 1000

    def parked(self) -> list[SessionKey]:
        return []

    def forget(self, session: SessionKey) -> None:
        """Do nothing: it keeps no sessions."""

    def describe(self) -> dict[str, Any]:
        cli = {"version": None, "path": None, "error": None}
        login = {"method": "scripted", "reason": "a test", "ready": True, "missing": []}
        return {**login, "cli": cli, "account": {}}

    def close(self) -> None:
        self.started, self._closed = False, True


async def _wait(leaving: asyncio.Event, seconds: float) -> None:
    """Wait for some seconds, or until the turn must end."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(leaving.wait(), seconds)
