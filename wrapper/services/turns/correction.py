"""The correction: a turn whose answer is not what was demanded is asked once more, as one turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from wrapper.errors import ApiError
from wrapper.notes import Notes
from wrapper.services.engine import Runner
from wrapper.services.events import Compacted, Event, Noted, Started, add_usage
from wrapper.services.turn import Turn
from wrapper.services.turns.attempt import Attempt
from wrapper.services.turns.requirements import Fault

log = logging.getLogger(__name__)


class Correction:
    """Runs turns on *engine*, and looks at their answers.

    *choice* is the request's parameter for what is to be called, and *streams* says that its answer
    is passed on as it comes. Unless it *retries*, no model is asked once more.
    """

    def __init__(self, engine: Runner, choice: str, streams: bool, retries: bool):
        self._engine = engine
        self._choice = choice
        self._streams = streams
        self._retries = retries

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events as Engine does; what both requests have used is one sum."""
        first = Attempt(turn, self._choice, self._streams)
        async with aclosing(self._play(first, leaving)) as events:
            async for event in events:
                yield event
        fault = first.fault()
        if fault and self._is_worth(first, fault, leaving):
            async with aclosing(self._again(first, fault, leaving)) as events:
                async for event in events:
                    yield event
            return
        for event in first.rest(fault):
            yield event

    async def _again(
        self, first: Attempt, fault: Fault, leaving: asyncio.Event
    ) -> AsyncGenerator[Event]:
        """Yield what comes of a second request; the first answer, where that one fails."""
        yield Noted(Notes(retried_params=(fault.param,)))
        assert fault.reminder  # noqa: S101 - else it is not worth it
        asked = first.correction(fault.reminder)
        second = Attempt(asked, self._choice, self._streams, later=first.spoke)
        try:
            async with aclosing(self._play(second, leaving)) as events:
                async for event in events:
                    if not isinstance(event, Started | Compacted):
                        yield add_usage(event, first.used)
        except ApiError as error:
            if second.spoke or second.called:
                raise
            log.warning("the model could not be asked once more: %s", error.code)
        answer, before = (second, first.used) if second.ended else (first, second.used)
        for event in answer.rest(answer.fault()):
            yield add_usage(event, before)

    async def _play(self, attempt: Attempt, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        async with aclosing(self._engine.run(attempt.turn, leaving)) as events:
            async for event in events:
                for passed in attempt.add(event):
                    yield passed

    def _is_worth(self, first: Attempt, fault: Fault, leaving: asyncio.Event) -> bool:
        """Say whether *fault* is to be mended by another request, and may be."""
        mends = fault.reminder is not None and first.may_be_replaced()
        return self._retries and mends and not leaving.is_set() and first.turn.may_go_on()
