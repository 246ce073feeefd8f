"""The Claude Code engine: it runs turns on processes that are already warm."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from wrapper.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    Unavailable,
    UpstreamAuthentication,
)
from wrapper.notes import Notes
from wrapper.services.attachments.images import ImageInfo
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.catalog import Model
from wrapper.services.claude import subagents
from wrapper.services.claude.errors.engine_errors import DiedEarly, refuses_thinking
from wrapper.services.claude.processes import profiles
from wrapper.services.claude.processes.leasing import Lease, LeaseManager
from wrapper.services.claude.processes.mcp_check import McpCheck
from wrapper.services.claude.processes.models import read_models
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.recorded_process import with_recorded_process
from wrapper.services.claude.processes.tool_listing import ToolListing
from wrapper.services.claude.processes.trials.needs import failed_checks
from wrapper.services.claude.protocol import image_limits
from wrapper.services.claude.protocol.thinking_history import with_valid_thinking, without_thinking
from wrapper.services.claude.status import Status
from wrapper.services.events import (
    Acquisition,
    Compacted,
    Ended,
    Ending,
    Event,
    Noted,
    Started,
    Usage,
    Used,
    add_usage,
)
from wrapper.services.permissions.confinement import confine
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import ServerState
from wrapper.services.tools.tool import Tool
from wrapper.services.turn import SessionKey, Turn, approved_calls
from wrapper.settings import Settings

if TYPE_CHECKING:
    from wrapper.services.claude.conversation.compaction import Compaction
    from wrapper.services.claude.conversation.conversation import Conversation

log = logging.getLogger(__name__)

# How many processes are tried if each one ends before it was asked anything.
ATTEMPTS = 3


@dataclass(frozen=True)
class CliInfo:
    """What the Claude Code that booted last says of itself."""

    version: str | None = None
    models: tuple[Model, ...] = ()


@dataclass(frozen=True)
class Running:
    """What an engine has once it is started. `imported` is set when the SDK is imported."""

    leases: LeaseManager
    mcp_check: McpCheck
    imported: threading.Event


class ClaudeEngine:
    """Runs turns on warm processes, or on those that were parked after an earlier turn.

    *environment* is the gateway's, and processes get the allowed part of it. The *lifecycle* is
    told if the CLI must not serve.
    """

    takes_bodies = True

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        lifecycle: Lifecycle | None = None,
    ):
        self._settings = settings
        self._environment = environment
        self._lifecycle = lifecycle or Lifecycle()
        self._profiles = profiles.build_profiles(settings, environment)
        self._status = Status(settings, environment, lambda: self._leases().lease_warm("plain"))
        self._tool_listing = ToolListing(settings, self._profiles["agent"])
        self._cli = CliInfo()
        self._ignored: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closed = False
        self._running: Running | None = None

    def start(self) -> None:
        """Begin to boot processes in the background, unless the engine was started or closed."""
        with self._lock:
            if self._running or self._closed:
                return
            leases = LeaseManager(
                self._settings, self._environment, self._profiles, self._lifecycle, self._on_boot
            )
            supervisor = leases.supervisor
            agent, model = self._profiles["agent"], self._settings.default_model
            ask = partial(with_recorded_process, supervisor, agent, model)
            check = McpCheck(later=supervisor.run_later, ask=ask)
            running = self._running = Running(leases, check, threading.Event())
        self._status.login.log_mistakes()
        supervisor.boot_threads.submit(_import_sdk, running.imported)
        leases.fill()

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events; see Engine."""
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
        leases, began = self._leases(), time.monotonic()
        failed_checks(turn, leases.supervisor.trials.current(turn.profile))
        wanted, turn = turn.sampling.effort, with_valid_thinking(turn)
        if wanted not in (None, turn.sampling.effort):
            yield Noted(Notes(ignored_params=(turn.effort_param,)))
        for attempt in range(ATTEMPTS):
            lease, state = await leases.lease(turn), None
            try:
                if failed := failed_checks(turn, lease.process.qualification):
                    yield Noted(Notes(failed_checks=failed))
                async with leases.throttle.slot() as sent:
                    leased = time.monotonic()
                    conversation = self._conversation(lease, turn, sent)
                    async with aclosing(conversation.events(leaving)) as events:
                        async for event in events:
                            if isinstance(event, Started):
                                self._status.login.accept()
                                sent()
                                leases.catch_up()
                                seconds = leased - began, conversation.configured - leased
                                event = replace(
                                    event, acquisition=Acquisition(lease.source, *seconds)
                                )
                            yield event
                state = conversation.state()
                return
            except DiedEarly:
                if attempt == ATTEMPTS - 1:
                    raise
            except UpstreamAuthentication as error:
                self._status.login.refuse(error)
                raise
            finally:
                leases.release(lease, turn, state)
                leases.catch_up()

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
        leases = self._leases()
        process = await leases.boot(self._profiles["compacting"])
        try:
            async with aclosing(self._compaction(process, turn).events(leaving)) as events:
                async for event in events:
                    yield event
        finally:
            leases.supervisor.discard(process)

    def health(self) -> dict[str, Any]:
        running = self._running
        pools = running.leases.health() if running else {}
        states = {name: pool["status"] for name, pool in pools.items()}
        if states.get(self._settings.default_profile) == "failing":
            status = "failing"
        elif "failing" in states.values():
            status = "degraded"
        else:
            imported = running is not None and running.imported.is_set()
            status = "ok" if imported and set(states.values()) == {"ready"} else "starting"
        login = self._status.login.health()
        if status == "ok" and login["status"] != "ok":
            status = "degraded"
        parked = running.leases.parked_count() if running else 0
        ignored = dict(self._ignored)
        report = {"status": status, "login": login, "pools": pools, "parked": parked}
        trials = running.leases.supervisor.trials if running else None
        return {
            **report,
            "trials": trials.health() if trials else {},
            "warm_up": trials.warm_ups() if trials else {},
            "ignored_frames": ignored,
        }

    def models(self) -> tuple[Model, ...]:
        return self._cli.models

    def shrinks(self, picture: ImageInfo, model: str, profile: str) -> bool:
        # In the profile plain Claude Code does not see images.
        return profile == "agent" and image_limits.shrinks(picture, model)

    def mcp_states(
        self, servers: Sequence[McpServer], seconds: float = 0.0
    ) -> dict[str, ServerState]:
        """Return the states of MCP servers by name, as far as they are known; see ConnectsServers.

        Those that are not fresh are checked in the background.
        """
        check = self._started().mcp_check
        check.begin(servers)
        check.wait(servers, seconds)
        states = {server.name: check.states.of(server) for server in servers}
        return {name: state for name, state in states.items() if state}

    def parked(self) -> Sequence[SessionKey]:
        running = self._running
        return running.leases.parked() if running else ()

    def forget(self, session: SessionKey) -> None:
        self._leases().forget(session)

    def tools(self) -> tuple[Tool, ...]:
        """Return the tools that an agent's model gets from this Claude Code; see OffersTools."""
        tools = self._tool_listing.read(self._leases().supervisor)
        return (*tools, *subagents.listed(self._profiles["agent"].subagents))

    @property
    def cli_version(self) -> str | None:
        """Return the version of the CLI that booted last, or None before the first boot."""
        return self._cli.version

    def summary(self) -> dict[str, str]:
        """Return the CLI, its version and the login, without waiting for a process."""
        return self._status.summary(self._leases().supervisor)

    def describe(self) -> dict[str, Any]:
        return self._status.describe(lambda: self._leases().supervisor, lambda: self._cli.version)

    def close(self) -> None:
        """Stop every process and remove every directory except those of sessions."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running:
            running.leases.close()

    def _leases(self) -> LeaseManager:
        return self._started().leases

    def _started(self) -> Running:
        """Return the parts, started. Raises Unavailable if the engine was closed."""
        self.start()
        if running := self._running:
            return running
        raise Unavailable("The gateway is shutting down.")

    def _on_boot(self, process: Process) -> None:
        self._cli = CliInfo(process.version, read_models(process.models))

    def _conversation(self, lease: Lease, turn: Turn, sent: Callable[[], None]) -> Conversation:
        from wrapper.services.claude.conversation.conversation import Conversation

        record = self._started().mcp_check.states.record
        return Conversation(lease, turn, self._ignored, sent, record)

    def _compaction(self, process: Process, turn: Turn) -> Compaction:
        from wrapper.services.claude.conversation.compaction import Compaction

        return Compaction(process, turn, self._ignored)


def _import_sdk(imported: threading.Event) -> None:
    """Import what needs the SDK. It takes half a second, so only a started engine does it."""
    try:
        from wrapper.services.claude.conversation import compaction, conversation  # noqa: F401
    finally:
        imported.set()
