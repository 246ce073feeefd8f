"""The Claude Code engine: it is started and closed, and describes itself and its processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from wrapper.errors import Unavailable
from wrapper.services.attachments.images import ImageInfo
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.catalog import Model, min_version_of
from wrapper.services.claude.errors.setup_errors import too_old
from wrapper.services.claude.isolation.workspaces import open_workspaces
from wrapper.services.claude.processes import profiles
from wrapper.services.claude.processes.leasing import LeaseManager
from wrapper.services.claude.processes.mcp_check import McpCheck
from wrapper.services.claude.processes.models import read_models
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.recorded_process import with_recorded_process
from wrapper.services.claude.processes.tool_listing import ToolListing
from wrapper.services.claude.protocol import image_limits
from wrapper.services.claude.runner import ClaudeRunner
from wrapper.services.claude.status import Status
from wrapper.services.events import Event
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import ServerState
from wrapper.services.tools.tool import Tool
from wrapper.services.turn import SessionKey, Turn
from wrapper.settings import Settings


@dataclass(frozen=True)
class CliInfo:
    """What the Claude Code that booted last says of itself."""

    version: str | None = None
    models: tuple[Model, ...] = ()


@dataclass(frozen=True)
class Running:
    """What an engine has once it is started. `imported` is set when the SDK is imported."""

    leases: LeaseManager
    runner: ClaudeRunner
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
        self._status = Status(
            settings,
            environment,
            lambda: self._leases().lease_warm("plain"),
            lambda *event: self._lifecycle.announce(*event),
        )
        self._tool_listing = ToolListing(settings, self._profiles["agent"])
        self._cli = CliInfo()
        self._lock = threading.Lock()
        self._closed = False
        self._begun = False
        self._running: Running | None = None

    def start(self) -> None:
        """Begin to boot processes in the background, unless the engine was started or closed.

        After an error, such as a full disk, the next call starts what is left.
        """
        with self._lock:
            if self._begun or self._closed:
                return
            running = self._running = self._running or self._make_parts()
        self._status.login.start()
        running.leases.supervisor.boot_threads.submit(self._import_sdk, running.imported)
        running.leases.fill()
        self._begun = True

    def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events; see Engine. Raises CliTooOld."""
        running, cli = self._started(), self._cli
        if version := min_version_of(turn.model, cli.models):
            raise too_old(turn.model, version, cli.version)
        return running.runner.run(turn, leaving)

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
        if status == "ok" and login["status"] not in ("ok", "expiring"):
            status = "degraded"
        parked = running.leases.parking.count() if running else 0
        recycled = running.leases.parking.count_recycled() if running else 0
        ignored = dict(running.runner.ignored) if running else {}
        report = {"status": status, "login": login, "pools": pools, "parked": parked}
        trials = running.leases.supervisor.trials if running else None
        return {
            **report,
            "recycled": recycled,
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
        return running.leases.parking.sessions() if running else ()

    def forget(self, session: SessionKey) -> None:
        if running := self._running:
            running.leases.forget(session)
        else:  # no process is started for that
            open_workspaces(self._settings).forget(session)

    def tools(self) -> tuple[Tool, ...]:
        """Return the tools that an agent's model gets from this Claude Code; see OffersTools."""
        tools = self._tool_listing.read(self._leases().supervisor)
        return (*tools, *self._profiles["agent"].additions.listed())

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
        self._status.login.close()
        if running:
            running.leases.close()

    def _make_parts(self) -> Running:
        leases = LeaseManager(
            self._settings, self._environment, self._profiles, self._lifecycle, self._on_boot
        )
        agent, compacting = self._profiles["agent"], self._profiles["compacting"]
        supervisor, model = leases.supervisor, self._settings.default_model
        ask = partial(with_recorded_process, supervisor, agent, model)
        check = McpCheck(later=supervisor.run_later, ask=ask)
        login, record = self._status.login, check.states.record
        runner = ClaudeRunner(self._settings, leases, compacting, login, record)
        return Running(leases, runner, check, threading.Event())

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

    def _import_sdk(self, imported: threading.Event) -> None:
        """Import what needs the SDK. It takes half a second, so only a started engine does it."""
        try:
            from wrapper.services.claude.conversation import compaction, conversation  # noqa: F401
        finally:
            imported.set()
        self._lifecycle.on_loaded()
