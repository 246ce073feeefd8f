"""The supply: which process a turn gets, and what becomes of it afterwards."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from wrapper import host
from wrapper.errors import Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.claude.errors import BootFailed
from wrapper.services.claude.isolation import unix_user
from wrapper.services.claude.isolation.workspaces import Workspaces
from wrapper.services.claude.processes.parking import ParkedProcess, Parking, fingerprint
from wrapper.services.claude.processes.pool import Pool
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.claude.processes.throttle import Throttle
from wrapper.services.events import Source
from wrapper.services.turn import Message, SessionKey, Turn
from wrapper.settings import Settings

POOLED = ("agent", "plain")
TIDY_SECONDS = 5.0
# After this a turn's request is out, or waits for more than CPU time.
GATE_SECONDS = 0.5


@dataclass(frozen=True)
class Lease:
    """A process lent to a turn: where it is to work, and the place that was kept in it.

    `cold` says that it had to be waited for, as none was ready.
    """

    process: Process
    workspace: str | None
    place: ParkedProcess | None
    cold: bool = False

    @property
    def source(self) -> Source:
        if self.place is None:
            return "cold" if self.cold else "warm"
        return "parked" if self.place.session or self.place.known else "recycled"


class LeaseManager:
    """Warm processes, a pool a profile, and those that are parked after a turn.

    *welcome* is told of each that is up, and *refused* why none may serve. `supervisor` is all of
    them, and `gate` what turns go through on their way to the model.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        profiles: Mapping[str, Profile],
        *,
        welcome: Callable[[Process], None],
        refused: Callable[[str], None],
    ):
        self._settings = settings
        self._profiles = profiles
        self._welcome = welcome
        self._lock = threading.Lock()
        self._running = 0
        self.supervisor = Supervisor(settings, environment)
        self.gate = Throttle(host.cores(), GATE_SECONDS)
        self._pools = {name: self._pool(name, refused) for name in POOLED}
        self._parking = Parking(
            settings.max_parked,
            idle=settings.parked_idle,
            most_rss=settings.parked_max_rss * 1024**2,
            discard=self.supervisor.discard,
            recycle=settings.pool_recycle,
        )
        self._workspaces = Workspaces(
            settings.claude_cwd,
            settings.session_dir,
            settings.session_ttl + settings.max_timeout / 1000,
            user=unix_user.of(settings.claude_user),
        )
        self._janitor = PeriodicTask(self._tidy, TIDY_SECONDS)
        self._janitor.start()

    async def lease(self, turn: Turn) -> Lease:
        """Return the process that the turn's conversation has gone on in, or else a warm one.

        It must be given back. Raises an ApiError where none can be had.
        """
        workspace = self._workspaces.of(turn)
        with self._lock:
            self._running += 1
        try:
            if place := await self._resume(turn, workspace):
                return Lease(place.process, workspace, place)
            self._parking.fit(self._free())
            process = self.warm(turn.profile)
            cold = not process.done()
            return Lease(await self._await(process), workspace, None, cold)
        except BaseException:
            self._leave()
            raise

    def give_back(self, lease: Lease, turn: Turn, known: tuple[Message, ...] | None) -> None:
        """Park the process for the conversation's next turn, or for one like it, or stop it.

        *known* is what it knows of the conversation, None where it cannot go on.
        """
        self._leave()
        process = lease.process
        if known is None or not self._keeps(turn):
            self.supervisor.discard(process)
            return
        # What a plain one has counted keeps it from going on; an agent is to know all it knows.
        emptied = self.supervisor.later(process.empty) if turn.profile == "plain" else None
        kept = fingerprint(turn, lease.workspace)
        place = ParkedProcess(turn.session, process, kept, known, emptied, since=time.monotonic())
        self._parking.park(place, self._free())

    def warm(self, profile: str) -> Future[Process]:
        """Return a warm process to come; see Pool.lease."""
        return self._pools[profile].lease()

    async def boot(self, profile: str) -> Process:
        """Return a process of a profile without a pool. Raises Unavailable or BadGateway."""
        try:
            return await self._await(
                self.supervisor.booters.submit(self.supervisor.boot, self._profiles[profile])
            )
        except BootFailed as error:
            raise Unavailable(f"No Claude Code process could be started: {error}") from None

    def settle(self) -> None:
        """Do what had better wait until turns are on their way: a boot takes their CPU time.

        Whoever is still to go does it later, in place of this one.
        """
        if self.gate.idle():
            self.fill()
        self.supervisor.give_login_back()

    def fill(self) -> None:
        """Begin to boot what is missing."""
        for pool in self._pools.values():
            pool.fill()

    def health(self) -> dict[str, dict[str, Any]]:
        return {name: pool.health() for name, pool in self._pools.items()}

    def parked(self) -> Sequence[SessionKey]:
        return self._parking.sessions()

    def parked_count(self) -> int:
        return self._parking.count()

    def forget(self, session: SessionKey) -> None:
        """Drop a session's process, and its directory in the background."""
        self._parking.forget(session)
        self.supervisor.later(self._workspaces.forget, session)

    def close(self) -> None:
        """Stop every process and remove every directory but the sessions' own."""
        self._janitor.close()
        self._parking.close()
        for pool in self._pools.values():
            pool.close()
        self.supervisor.close()

    def _pool(self, name: str, refused: Callable[[str], None]) -> Pool:
        default = name == self._settings.default_profile
        return Pool(
            self._settings.pool_size if default else self._settings.pool_size_other,
            boot=lambda: self._boot(name),
            stop=self.supervisor.discard,
            booters=self.supervisor.booters,
            refused=refused,
        )

    def _boot(self, name: str) -> Process:
        process = self.supervisor.boot(self._profiles[name], lambda: self._at_leisure(name))
        self._welcome(process)
        return process

    def _at_leisure(self, name: str) -> bool:
        """Say whether nobody waits for such a process, or for the CPU time that it takes."""
        return self.gate.idle() and not self._pools[name].awaited()

    async def _await(self, future: Future[Process]) -> Process:
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self.supervisor.give_up(future)
            raise

    def _keeps(self, turn: Turn) -> bool:
        """Say whether a turn may come that has something of *turn*'s process."""
        return bool(turn.session or self._settings.pool_recycle or turn.profile == "agent")

    async def _resume(self, turn: Turn, workspace: str | None) -> ParkedProcess | None:
        place = self._parking.take(turn, workspace)
        if place and not place.knows(turn):
            place = replace(place, known=(), emptied=self.supervisor.later(place.process.empty))
        if place is None or place.emptied is None:
            return place
        emptied = False
        try:
            emptied = await asyncio.wrap_future(place.emptied)
        finally:
            if not emptied:
                place.leave(self.supervisor.discard)
        return place if emptied else None

    def _tidy(self) -> None:
        self._parking.tidy()
        self._workspaces.tidy()
        self.supervisor.tidy()

    def _free(self) -> int:
        """Return how many processes may be parked beside those that run."""
        return self._settings.max_concurrent_turns - self._running

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
