"""Fallback: lets another model answer if a turn's model fails before it begins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace

from wrapper.errors import (
    ModelNotFound,
    Overloaded,
    RateLimited,
    TimedOut,
    UpstreamFailed,
)
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.engine import Runner
from wrapper.services.events import Event, Noted, Started, Used, add_usage
from wrapper.services.spent import add_spent
from wrapper.services.turn import Turn, approved_calls
from wrapper.services.turns.unknown_models import UnknownModels

# Errors of one model that another one may not have.
FAILURES = (RateLimited, Overloaded, UpstreamFailed, ModelNotFound, TimedOut)

log = logging.getLogger(__name__)


class Fallback:
    """Runs turns on *engine*, and those of their `fallbacks` that are needed.

    A model among the *unknown* ones is not asked if another one can be.
    """

    def __init__(self, engine: Runner, unknown: UnknownModels):
        self._engine = engine
        self._unknown = unknown

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events as Engine does; the usage of all requests is one sum.

        Nothing that a tool has done is done again: tools run once the model has begun, except for
        calls that the client has approved, which have no fallback.
        """
        before = Used({})
        candidates = [*_candidates(turn)]
        for number, (candidate, notes) in enumerate(candidates, 1):
            begun, used, last = False, Used({}), number == len(candidates)
            if candidate.model in self._unknown and not last:
                yield _failed(candidate, ModelNotFound.code)
                continue
            if notes:
                yield Noted(notes)
            try:
                async with aclosing(self._engine.run(candidate, leaving)) as events:
                    async for event in events:
                        begun = begun or isinstance(event, Started)
                        used = event if isinstance(event, Used) else used
                        yield add_usage(event, before)
                return
            except FAILURES as error:
                if isinstance(error, ModelNotFound):
                    self._unknown.add(candidate.model)
                if begun or last or leaving.is_set() or not turn.may_go_on():
                    raise
                before = Used(add_spent(before.spent, used.spent), before.requests + used.requests)
                yield _failed(candidate, error.code)


def _candidates(turn: Turn) -> Iterator[tuple[Turn, Notes]]:
    """Yield the turn, and then its fallbacks with what the turn got since they were made."""
    yield turn, NO_NOTES
    if not approved_calls(turn.messages):
        for other, notes in turn.fallbacks:
            yield (
                replace(
                    other,
                    may_go_on=turn.may_go_on,
                    approver=turn.approver,
                    background=turn.background,
                    mcp_servers=turn.mcp_servers,
                ),
                notes,
            )


def _failed(turn: Turn, code: str | None) -> Noted:
    log.warning("the model %s failed (%s); another one is asked", turn.model, code)
    return Noted(Notes(failed_models=(turn.model,)))
