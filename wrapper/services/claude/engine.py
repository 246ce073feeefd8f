"""The Claude Code engine: a turn run by the official SDK on a process that is already warm."""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from wrapper.errors import ApiError, ContextLengthExceeded, Unavailable
from wrapper.logs.redaction import Redacted
from wrapper.services.attachments.images import ImageInfo
from wrapper.services.catalog import Model
from wrapper.services.claude.errors import DiedEarly
from wrapper.services.claude.processes import profiles
from wrapper.services.claude.processes.leasing import Lease, LeaseManager
from wrapper.services.claude.processes.models import read_models
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol import image_limits
from wrapper.services.claude.status import Status
from wrapper.services.events import (
    Acquisition,
    Compacted,
    Ended,
    Ending,
    Event,
    Started,
    Usage,
    Used,
    beside,
)
from wrapper.services.permissions.confinement import confine
from wrapper.services.turn import SessionKey, Turn
from wrapper.settings import Settings

# How many processes are tried where one ends before it was asked anything.
ATTEMPTS = 3
# Importing the SDK costs half a second, which only an engine that is started should pay.
CONVERSING = "wrapper.services.claude.conversation.conversation"
COMPACTION = "wrapper.services.claude.conversation.compaction"

log = logging.getLogger(__name__)


class ClaudeEngine:
    """Runs turns on warm processes, or on those that their sessions have gone on in.

    *environment* is the gateway's own, of which the processes get the allowed part. *refused* is
    told the reason when the CLI turns out to be one that must not serve.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        refused: Callable[[str], None] = lambda reason: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._settings = settings
        self._environment = environment
        self._profiles = profiles.build_profiles(settings, environment)
        self._identity = Status(settings, environment, self._lease_any)
        self._models: tuple[Model, ...] = ()
        self._version: str | None = None
        self._ignored: Counter[str] = Counter()
        self._refused = refused
        self._clock = clock
        self._untold = threading.Lock()
        self._lock = threading.Lock()
        self._closed = False
        self._supply: LeaseManager | None = None
        self._importing: Future[object] | None = None

    def start(self) -> None:
        """Begin to boot processes, in the background; an engine that was closed stays so."""
        with self._lock:
            if self._supply or self._closed:
                return
            supply = self._supply = LeaseManager(
                self._settings,
                self._environment,
                self._profiles,
                welcome=self._welcome,
                refused=self._refuse,
            )
        self._importing = supply.supervisor.booters.submit(importlib.import_module, CONVERSING)
        supply.fill()

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events; see Engine."""
        turn = confine(turn, self._settings)
        try:
            async with aclosing(self._once(turn, leaving)) as events:
                async for event in events:
                    yield event
        except ContextLengthExceeded as error:
            if not turn.compacts or error.retry is False:  # the model has begun
                raise
            async with aclosing(self._shortened(turn, leaving)) as events:
                async for event in events:
                    yield event

    async def _once(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        supply, began = self._started(), self._clock()
        for attempt in range(ATTEMPTS):
            lease, known = await supply.lease(turn), None
            try:
                async with supply.gate.passage() as sent:
                    leased = self._clock()
                    conversation = self._conversation(lease, turn, sent)
                    async with aclosing(self._converse(conversation, leaving)) as events:
                        async for event in events:
                            if isinstance(event, Started):
                                sent()
                                supply.settle()
                                took = leased - began, conversation.configured - leased
                                event = replace(event, had=Acquisition(lease.source, *took))
                            yield event
                known = conversation.knowledge()
                return
            except DiedEarly:
                if attempt == ATTEMPTS - 1:
                    raise
            finally:
                supply.give_back(lease, turn, known)
                supply.settle()

    async def _shortened(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the events of *turn* after what was said before it is summarised."""
        before = Used({})
        yield before  # from here on there is something to tell
        async with aclosing(self._compact(turn, leaving)) as events:
            async for event in events:
                if isinstance(event, Compacted):
                    turn = replace(turn, messages=event.messages)
                elif isinstance(event, Used):
                    before = event
                yield event
        if leaving.is_set():
            yield beside(Ended(Ending.ABANDONED, Usage(), 0.0), before)
            return
        if not turn.may_go_on():
            yield Started(turn.model)
            yield beside(Ended(Ending.BUDGET, Usage(), 0.0), before)
            return
        async with aclosing(self._once(turn, leaving)) as events:
            async for event in events:
                yield beside(event, before)

    async def _compact(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        supply = self._started()
        process = await supply.boot("compacting")
        compaction = importlib.import_module(COMPACTION).Compaction(process, turn, self._ignored)
        try:
            async with aclosing(compaction.events(leaving)) as events:
                async for event in events:
                    yield event
        finally:
            supply.supervisor.discard(process)

    def health(self) -> dict[str, Any]:
        pools = self._supply.health() if self._supply else {}
        states = {name: pool["status"] for name, pool in pools.items()}
        if states.get(self._settings.default_profile) == "failing":
            status = "failing"
        elif "failing" in states.values():
            status = "degraded"
        else:
            imported = self._importing is not None and self._importing.done()
            status = "ok" if imported and set(states.values()) == {"ready"} else "starting"
        parked = self._supply.parked_count() if self._supply else 0
        ignored = dict(self._ignored)
        return {"status": status, "pools": pools, "parked": parked, "ignored_frames": ignored}

    def models(self) -> tuple[Model, ...]:
        return self._models

    def shrinks(self, picture: ImageInfo, model: str, profile: str) -> bool:
        # In plain Claude Code does not get to see them.
        return profile == "agent" and image_limits.shrinks(picture, model)

    def parked(self) -> Sequence[SessionKey]:
        return self._supply.parked() if self._supply else ()

    def forget(self, session: SessionKey) -> None:
        self._started().forget(session)

    def describe(self) -> dict[str, Any]:
        return self._identity.describe(lambda: self._started().supervisor, lambda: self._version)

    def close(self) -> None:
        """Stop every process and remove every directory but the sessions' own."""
        with self._lock:
            self._closed = True
            supply, self._supply = self._supply, None
        if supply:
            supply.close()

    def _started(self) -> LeaseManager:
        """Return the supply, at work. Raises Unavailable once the engine was closed."""
        self.start()
        if supply := self._supply:
            return supply
        raise Unavailable("The gateway is shutting down.")

    def _welcome(self, process: Process) -> None:
        self._version = process.version
        self._models = read_models(process.models)

    def _refuse(self, reason: str) -> None:
        if self._untold.acquire(blocking=False):  # once, for all processes that are alike
            self._refused(reason)

    def _lease_any(self) -> Future[Process]:
        return self._started().warm("plain")

    def _conversation(self, lease: Lease, turn: Turn, sent: Callable[[], None]) -> Any:
        conversing = importlib.import_module(CONVERSING)
        process, workspace, place = lease.process, lease.workspace, lease.place
        recycled = self._settings.pool_recycle and turn.session is None
        names = recycled and turn.profile == "agent"
        return conversing.Conversation(
            process, turn, workspace, self._ignored, place, self._clock, sent=sent, names=names
        )

    async def _converse(self, conversation: Any, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Configure the process, ask it, and yield what it answers."""
        try:
            async with aclosing(conversation.events(leaving)) as events:
                async for event in events:
                    yield event
        except ApiError as error:
            if conversation.started:
                # What the model did cannot be undone, and must not be done twice.
                error.retry = False
            raise
        finally:
            if words := conversation.last_words():
                pid = conversation.process.pid
                log.info("process %d wrote to stderr: %s", pid, Redacted(words))
