"""The Claude Code engine: a turn run by the official SDK on a process that is already warm."""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any

from wrapper.errors import ApiError, ContextLengthExceeded, Unavailable
from wrapper.services.catalog import Model
from wrapper.services.claude import cli, shrinking
from wrapper.services.claude.account import Account
from wrapper.services.claude.fleet import Fleet
from wrapper.services.claude.listing import read_models
from wrapper.services.claude.parking import Parking, Place, fingerprint
from wrapper.services.claude.pool import Pool
from wrapper.services.claude.process import BootFailed, DiedEarly, Process
from wrapper.services.claude.workspace import Workspaces
from wrapper.services.credentials import Login, credentials_file, detect_login
from wrapper.services.pictures import Picture
from wrapper.services.turn import Compacted, Event, SessionKey, Spent, Started, Turn, Used, beside
from wrapper.settings import Settings

# How many processes are tried where one ends before it was asked anything.
ATTEMPTS = 3
POOLED = ("agent", "plain")
# Importing the SDK costs half a second, which only an engine that is started should pay.
CONVERSING = "wrapper.services.claude.conversing"
COMPACTION = "wrapper.services.claude.compaction"

log = logging.getLogger(__name__)


class ClaudeEngine:
    """Runs turns on pools of warm processes, one pool a profile.

    *environment* is the gateway's own, of which the processes get the allowed part. *refused* is
    told the reason when the CLI turns out to be one that must not serve.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        refused: Callable[[str], None] = lambda reason: None,
    ):
        self._settings = settings
        self._environment = environment
        self._profiles = cli.build_profiles(settings, environment)
        self._account = Account(self._lease_any, self._login_stamp)
        self._models: tuple[Model, ...] = ()
        self._version: str | None = None
        self._ignored: Counter[str] = Counter()
        self._refused = refused
        self._untold = threading.Lock()
        self._lock = threading.Lock()
        self._running = 0
        self._closed = False
        self._workspaces = Workspaces(
            settings.claude_cwd,
            settings.session_dir,
            settings.session_ttl + settings.max_timeout / 1000,
        )
        self._fleet: Fleet | None = None
        self._parking: Parking | None = None
        self._pools: dict[str, Pool] = {}

    def start(self) -> None:
        """Begin to boot processes, in the background; an engine that was closed stays so."""
        with self._lock:
            if self._fleet or self._closed:
                return
            self._fleet = Fleet(self._settings, self._environment)
            self._parking = self._open_parking(self._fleet)
            self._pools = {name: self._pool(self._fleet, name) for name in POOLED}
        self._fleet.booters.submit(importlib.import_module, CONVERSING)
        for pool in self._pools.values():
            pool.fill()

    async def run(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events; see Engine."""
        try:
            async for event in self._once(turn, leaving):
                yield event
        except ContextLengthExceeded as error:
            if not turn.compacts or error.retry is False:  # the model has begun
                raise
            async for event in self._shortened(turn, leaving):
                yield event

    async def _shortened(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the events of *turn* after what was said before it is summarised."""
        spent: Mapping[str, Spent] = {}
        async for event in self._compact(turn, leaving):
            if isinstance(event, Compacted):
                turn = replace(turn, messages=event.messages)
            elif isinstance(event, Used):
                spent = event.spent
            yield event
        async for event in self._once(turn, leaving):
            yield beside(event, spent)

    async def _compact(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        fleet = self._started()
        future = fleet.booters.submit(fleet.boot, self._profiles["compacting"])
        try:
            process = await asyncio.wrap_future(future)
        except BootFailed as error:
            raise Unavailable(f"No process could be started to summarise: {error}") from None
        except asyncio.CancelledError:
            fleet.give_up(future)
            raise
        compaction = importlib.import_module(COMPACTION).Compaction(process, turn, self._ignored)
        try:
            async with aclosing(compaction.events(leaving)) as events:
                async for event in events:
                    yield event
        finally:
            fleet.discard(process)

    async def _once(self, turn: Turn, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        fleet = self._started()
        workspace = self._workspaces.of(turn)
        for attempt in range(ATTEMPTS):
            with self._counted():
                process, place = await self._lease(fleet, turn, workspace)
                conversation = self._conversation(process, turn, workspace, place)
                try:
                    async with aclosing(self._converse(conversation, leaving)) as events:
                        async for event in events:
                            if isinstance(event, Started):
                                self._settle(fleet, turn.profile)
                            yield event
                    return
                except DiedEarly:
                    if attempt == ATTEMPTS - 1:
                        raise
                finally:
                    self._let_go(fleet, conversation, turn, workspace)
                    self._settle(fleet, turn.profile)

    def health(self) -> dict[str, Any]:
        pools = {name: pool.health() for name, pool in self._pools.items()}
        states = {name: pool["status"] for name, pool in pools.items()}
        if states.get(self._settings.default_profile) == "failing":
            status = "failing"
        elif "failing" in states.values():
            status = "degraded"
        else:
            status = "ok" if set(states.values()) == {"ready"} else "starting"
        return {"status": status, "pools": pools, "ignored_frames": dict(self._ignored)}

    def models(self) -> tuple[Model, ...]:
        return self._models

    def shrinks(self, picture: Picture, model: str, profile: str) -> bool:
        # In plain Claude Code does not get to see them.
        return profile == "agent" and shrinking.shrinks(picture, model)

    def parked(self) -> Sequence[SessionKey]:
        return self._parking.sessions() if self._parking else ()

    def forget(self, session: SessionKey) -> None:
        fleet, parking = self._fleet, self._parking
        if fleet and parking:
            parking.forget(session)
            fleet.later(self._workspaces.forget, session)

    def tidy(self) -> None:
        if self._parking:
            self._parking.tidy()
        self._workspaces.tidy()

    def describe(self) -> dict[str, Any]:
        """Return the login in force, the CLI, and what it says of its account; see Engine."""
        login = detect_login(self._environment)
        path, account, error = None, {}, None
        try:
            path = cli.find_binary(self._settings, self._environment.get("PATH"))
            account = self._account.read(self._started(), self._settings.boot_timeout)
        except (ApiError, BootFailed, TimeoutError) as failure:
            error = str(failure) or "Claude Code did not answer in time."
        missing = [*login.missing, *([error] if error else [])]
        return {
            "method": login.method,
            "reason": login.reason,
            "ready": not missing,
            "missing": missing,
            "cli": {"version": self._version, "path": self._without_home(path), "error": error},
            "account": account,
        }

    def close(self) -> None:
        """Stop every process and remove every directory."""
        with self._lock:
            self._closed = True
            fleet, pools = self._fleet, list(self._pools.values())
            parking, self._parking = self._parking, None
            self._fleet, self._pools = None, {}
        if parking:
            parking.close()
        for pool in pools:
            pool.close()
        if fleet:
            fleet.close()

    def _started(self) -> Fleet:
        """Return the fleet, at work. Raises Unavailable once the engine was closed."""
        self.start()
        if fleet := self._fleet:
            return fleet
        raise Unavailable("The gateway is shutting down.")

    def _pool(self, fleet: Fleet, name: str) -> Pool:
        default = name == self._settings.default_profile
        return Pool(
            self._settings.pool_size if default else self._settings.pool_size_other,
            boot=lambda: self._boot(fleet, name),
            stop=fleet.discard,
            booters=fleet.booters,
            refused=self._refuse,
        )

    def _refuse(self, reason: str) -> None:
        if self._untold.acquire(blocking=False):  # once, for all processes that are alike
            self._refused(reason)

    def _boot(self, fleet: Fleet, name: str) -> Process:
        process = fleet.boot(self._profiles[name])
        self._version = process.version
        self._models = read_models(process.models)
        return process

    def _settle(self, fleet: Fleet, profile: str) -> None:
        """Do what had better wait until the model has begun: a boot takes the turn's CPU time."""
        if pool := self._pools.get(profile):
            pool.fill()
        fleet.give_login_back()

    async def _lease(
        self, fleet: Fleet, turn: Turn, workspace: str | None
    ) -> tuple[Process, Place | None]:
        """Return the process that the turn's session has gone on in, or else a warm one."""
        if place := await self._resume(fleet, turn, workspace):
            return place.process, place
        if self._parking:
            self._parking.fit(self._free())
        future = self._pool_of(turn.profile).lease()
        try:
            return await asyncio.wrap_future(future), None
        except asyncio.CancelledError:
            fleet.give_up(future)
            raise

    async def _resume(self, fleet: Fleet, turn: Turn, workspace: str | None) -> Place | None:
        place = self._parking.take(turn, workspace) if self._parking else None
        if place is None or place.emptied is None:
            return place
        try:
            emptied = await asyncio.wrap_future(place.emptied)
        except BaseException:
            fleet.discard(place.process)
            raise
        if not emptied:
            fleet.discard(place.process)
        return place if emptied else None

    def _let_go(self, fleet: Fleet, conversation: Any, turn: Turn, workspace: str | None) -> None:
        """Park the process for the session's next turn, or stop it."""
        process: Process = conversation.process
        known = conversation.knowledge()
        if turn.session is None or known is None or self._parking is None:
            fleet.discard(process)
            return
        # What a plain one has counted keeps it from going on; an agent is to know all it knows.
        emptied = fleet.later(process.empty) if turn.profile == "plain" else None
        print_ = fingerprint(turn, workspace)
        now = time.monotonic()
        place = Place(turn.session, process, print_, known, emptied, since=now)
        self._parking.park(place, self._free() + 1)  # it runs no more

    def _free(self) -> int:
        """Return how many processes may be parked beside those that run."""
        return self._settings.max_concurrent_turns - self._running

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def _open_parking(self, fleet: Fleet) -> Parking:
        return Parking(
            self._settings.max_parked,
            idle=self._settings.parked_idle,
            most_rss=self._settings.parked_max_rss * 1024**2,
            discard=fleet.discard,
        )

    def _lease_any(self) -> Future[Process]:
        return self._pool_of("plain").lease()

    def _pool_of(self, profile: str) -> Pool:
        if pool := self._pools.get(profile):
            return pool
        raise Unavailable("The gateway is shutting down.")

    def _login_stamp(self) -> tuple[Login, float]:
        login = credentials_file(self._environment)
        changed = login.stat().st_mtime if login.exists() else 0.0
        return detect_login(self._environment), changed

    def _without_home(self, path: str | None) -> str | None:
        home = self._environment.get("HOME", "")
        return path.replace(home, "~", 1) if path and home and path.startswith(home) else path

    def _conversation(
        self, process: Process, turn: Turn, workspace: str | None, place: Place | None
    ) -> Any:
        conversing = importlib.import_module(CONVERSING)
        return conversing.Conversation(process, turn, workspace, self._ignored, place)

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
                log.info("process %d wrote to stderr: %s", conversation.process.pid, words)
