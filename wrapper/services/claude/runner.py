"""Run turns on processes that are warm or parked: each on one, and again if that ends early."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wrapper.errors import ContextLengthExceeded, InvalidRequest, UpstreamAuthentication
from wrapper.notes import Notes
from wrapper.services.claude.errors.engine_errors import DiedEarly, refuses_thinking
from wrapper.services.claude.errors.no_first_event import NoFirstEvent
from wrapper.services.claude.login.monitor import LoginMonitor
from wrapper.services.claude.processes.leasing import Lease, LeaseManager
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.throttle import Slot
from wrapper.services.claude.processes.trials.needs import failed_checks
from wrapper.services.claude.protocol.mcp_connection import Record
from wrapper.services.claude.protocol.thinking_history import with_valid_thinking, without_thinking
from wrapper.services.events import (
    Acquisition,
    Compacted,
    Ended,
    Ending,
    Event,
    LimitsReported,
    Noted,
    Started,
    Used,
    add_usage,
)
from wrapper.services.permissions.confinement import confine
from wrapper.services.spent import Usage
from wrapper.services.turn import Turn, approved_calls
from wrapper.settings import Settings

if TYPE_CHECKING:
    from wrapper.services.claude.conversation.compaction import Compaction
    from wrapper.services.claude.conversation.conversation import Conversation

log = logging.getLogger(__name__)

# How many processes are tried if each one ends before it was asked anything.
ATTEMPTS = 3


@dataclass
class _Leased:
    """A turn's lease, and the process's state after it: None if no other turn may run on it."""

    lease: Lease
    state: ProcessState | None = None


class ClaudeRunner:
    """Runs turns on processes of *leases*, and summarises histories on those of *compacting*.

    *login* is told whether the provider takes it. *record* gets what turns find of MCP servers, and
    `ignored` counts frames that no turn understands.
    """

    def __init__(
        self,
        settings: Settings,
        leases: LeaseManager,
        compacting: Profile,
        login: LoginMonitor,
        record: Record,
    ):
        self._settings = settings
        self._leases = leases
        self._compacting = compacting
        self._login = login
        self._record = record
        self.ignored: Counter[str] = Counter()

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events; see Runner."""
        turn = confine(turn, self._settings)
        begun = False
        try:
            async with aclosing(self._run_once(turn, leaving)) as events:
                async for event in events:
                    begun = begun or isinstance(event, Started)
                    yield event
        except InvalidRequest as error:
            changed = None if begun else self._run_changed(turn, leaving, error)
            if changed is None:
                raise
            async with aclosing(changed) as events:
                async for event in events:
                    yield event

    def _run_changed(
        self, turn: Turn, leaving: asyncio.Event, error: InvalidRequest
    ) -> AsyncGenerator[Event] | None:
        """Run *turn* with another history, which *error* does not hold for, if there is one.

        None of its approved calls may run twice.
        """
        if approved_calls(turn.messages):
            return None
        if isinstance(error, ContextLengthExceeded):
            return self._run_compacted(turn, leaving) if turn.compacts else None
        messages = without_thinking(turn.messages)
        if messages == turn.messages or not refuses_thinking(error):
            return None
        log.warning("the model's API refused thinking blocks of the history; they are left out")
        return self._run_once(replace(turn, messages=messages), leaving)

    async def _run_once(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events. If a process ends before it was asked, another one is tried."""
        began = time.monotonic()
        failed_checks(turn, self._leases.supervisor.trials.current(turn.profile))
        wanted, turn = turn.sampling.effort, with_valid_thinking(turn)
        if wanted not in (None, turn.sampling.effort):
            yield Noted(Notes(ignored_params=(turn.effort_param,)))
        for left in reversed(range(ATTEMPTS)):
            try:
                async with aclosing(self._run_on_one_process(turn, leaving, began)) as events:
                    async for event in events:
                        yield event
                return
            except DiedEarly:
                if not left:
                    raise

    async def _run_on_one_process(
        self, turn: Turn, leaving: asyncio.Event, began: float
    ) -> AsyncGenerator[Event]:
        """Yield the events of a turn that waits for its process since *began*.

        Raises DiedEarly if the process ended before it was asked anything.
        """
        async with self._slot_before_lease(turn) as early_slot, self._leased(turn) as leased:
            lease = leased.lease
            if failed := failed_checks(turn, lease.process.qualification):
                yield Noted(Notes(failed_checks=failed))
            async with self._slot(early_slot) as slot:
                leased_at = time.monotonic()
                conversation = self._conversation(lease, turn, slot.free_soon)
                async with aclosing(conversation.events(leaving)) as events:
                    async for event in events:
                        if isinstance(event, Started):
                            self._login.accept()
                            slot.free()
                            self._leases.catch_up()
                            seconds = leased_at - began, conversation.configured - leased_at
                            event = _with_acquisition(event, lease, seconds)
                        elif isinstance(event, LimitsReported):
                            event = replace(event, login=self._login.id())
                        yield event
            leased.state = conversation.state()

    @asynccontextmanager
    async def _leased(self, turn: Turn) -> AsyncIterator[_Leased]:
        """Lease a process to *turn*, and park it with the state that the turn sets, or stop it."""
        leased = _Leased(await self._leases.lease(turn))
        try:
            yield leased
        except (NoFirstEvent, UpstreamAuthentication) as error:
            raise self._login.judge(error) from error
        finally:
            self._leases.release(leased.lease, turn, leased.state)
            self._leases.catch_up()

    def _slot_before_lease(self, turn: Turn) -> AbstractAsyncContextManager[Slot | None]:
        """Return the slot of a turn in the background, which it waits for without a process.

        So a batch has no more processes than its turns use at the same time. A turn for which
        somebody waits first gets its process, which may have to boot.
        """
        return self._leases.throttle.slot(background=True) if turn.background else nullcontext()

    def _slot(self, early: Slot | None) -> AbstractAsyncContextManager[Slot]:
        return nullcontext(early) if early else self._leases.throttle.slot()

    async def _run_compacted(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Summarise the conversation before *turn*, and yield the events of both."""
        before = Used({})
        yield before  # from here on the turn has usage to report
        async with aclosing(self._compact(turn, leaving)) as events:
            async for event in events:
                if isinstance(event, Compacted):
                    turn = replace(turn, messages=event.messages)
                elif isinstance(event, Used):
                    before = event
                yield event
        if leaving.is_set():
            yield add_usage(Ended(Ending.ABANDONED, Usage(), 0.0), before)
            return
        if not turn.may_go_on():
            yield Started(turn.model)
            yield add_usage(Ended(Ending.BUDGET, Usage(), 0.0), before)
            return
        async with aclosing(self._run_once(turn, leaving)) as events:
            async for event in events:
                yield add_usage(event, before)

    async def _compact(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        leases = self._leases
        process = await leases.boot(self._compacting)
        try:
            async with aclosing(self._compaction(process, turn).events(leaving)) as events:
                async for event in events:
                    yield event
        finally:
            leases.supervisor.discard(process)

    # The SDK takes half a second to import, which a started engine does in the background.

    def _conversation(self, lease: Lease, turn: Turn, sending: Callable[[], None]) -> Conversation:
        from wrapper.services.claude.conversation.conversation import Conversation

        return Conversation(lease, turn, self.ignored, sending, self._record)

    def _compaction(self, process: Process, turn: Turn) -> Compaction:
        from wrapper.services.claude.conversation.compaction import Compaction

        return Compaction(process, turn, self.ignored)


def _with_acquisition(event: Started, lease: Lease, seconds: tuple[float, float]) -> Started:
    return replace(event, acquisition=Acquisition(lease.source, *seconds))
