"""Correction: asks the model once more if its answer does not meet the request's demands."""

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
    """Runs turns on *engine* and checks their answers.

    *choice* is the request's parameter that chooses among functions. *streams* says that the
    client gets the answer as it comes. Unless it *retries*, it never asks the model again.
    """

    def __init__(self, engine: Runner, choice: str, streams: bool, retries: bool):
        self._engine = engine
        self._choice = choice
        self._streams = streams
        self._retries = retries

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events as Engine does; the usage of both requests is one sum."""
        first = Attempt(turn, self._choice, self._streams)
        async with aclosing(self._engine.run(turn, leaving)) as events:
            async for event in events:
                for passed in first.add(event):
                    yield passed
        fault = first.fault()
        second = self._second(first, fault, leaving) if fault else None
        if not fault or not second:
            for event in first.rest(fault):
                yield event
            return
        yield Noted(Notes(retried_params=(fault.param,)))
        try:
            async with aclosing(self._engine.run(second.turn, leaving)) as events:
                async for event in events:
                    for passed in _add_to_second(second, event, first):
                        yield passed
        except ApiError as error:
            if second.spoke or second.called:
                raise
            # The client gets the first answer instead.
            log.warning("the model could not be asked once more: %s", error.code)
        answer, before = (second, first.used) if second.ended else (first, second.used)
        for event in answer.rest(answer.fault()):
            yield add_usage(event, before)

    def _second(self, first: Attempt, fault: Fault, leaving: asyncio.Event) -> Attempt | None:
        """Return the attempt that may mend *fault*; None if it is not worth another request."""
        if not (self._retries and fault.reminder and first.may_be_replaced()):
            return None
        if leaving.is_set() or not first.turn.may_go_on():
            return None
        turn = first.correction(fault.reminder)
        return Attempt(turn, self._choice, self._streams, later=first.spoke)


def _add_to_second(second: Attempt, event: Event, first: Attempt) -> list[Event]:
    """Return what may be passed on of *second*: its turn has started, and used tokens, before."""
    passed = (each for each in second.add(event) if not isinstance(each, Started | Compacted))
    return [add_usage(each, first.used) for each in passed]
