"""Lease processes to turns, and park or stop them afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from wrapper import host
from wrapper.errors import Unavailable
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.isolation.workspaces import open_workspaces
from wrapper.services.claude.processes.backoff import FailureLog
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.pool import NO_THREAD, Pool, Spawner, unavailable
from wrapper.services.claude.processes.priority import has_low_priority
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.reuse import Reuse
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.claude.processes.throttle import Throttle
from wrapper.services.events import Source
from wrapper.services.turn import SessionKey, Turn
from wrapper.settings import Settings

CLEANUP_SECONDS = 5.0
# By then a turn's request is sent, or waits for more than CPU time.
THROTTLE_SECONDS = 0.5
# Turns with a low priority take longer while others use the CPU, and must not pile up then.
BACKGROUND_THROTTLE_SECONDS = 10.0


@dataclass(frozen=True)
class Lease:
    """A process that one turn runs on, in the directory *workspace* if that is not the process's.

    `parked` is what was kept of an earlier turn, if the process had one. `cold` says that the turn
    had to wait for a boot.
    """

    process: Process
    workspace: str | None = None
    parked: ParkedProcess | None = None
    cold: bool = False

    @property
    def state(self) -> ProcessState | None:
        """Return what the process keeps of its earlier turns, None if it had none."""
        return self.parked.state if self.parked else None

    @property
    def source(self) -> Source:
        if self.parked is None:
            return "cold" if self.cold else "warm"
        return "parked" if self.parked.session or self.parked.state.known else "recycled"


class LeaseManager:
    """Leases warm processes from one pool a profile, and those that were parked after a turn.

    *on_boot* is called with each process of a pool that has booted. `supervisor` holds all
    processes, and `parking` those that wait after a turn. Turns pass `throttle` on their way to the
    model.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        profiles: Mapping[str, Profile],
        lifecycle: Lifecycle,
        on_boot: Callable[[Process], None],
    ):
        self._settings = settings
        self._lock = threading.Lock()
        self._running: list[str | None] = []  # the workspace of each lease
        self.supervisor = Supervisor(settings, environment)
        self.throttle = Throttle(host.cores(), THROTTLE_SECONDS, BACKGROUND_THROTTLE_SECONDS)
        self._reuse = Reuse(settings, self.supervisor, self.throttle.idle)
        self.parking = self._reuse.parking
        failures = FailureLog()
        self._pools = {
            name: self._pool(profile, lifecycle, on_boot, failures)
            for name, profile in profiles.items()
            if profile.pooled
        }
        self._workspaces = open_workspaces(settings)
        self._cleanup = PeriodicTask(self._clean_up, CLEANUP_SECONDS)

    async def lease(self, turn: Turn) -> Lease:
        """Return the parked process that the turn can run on, or else a warm one.

        The lease must be released. Raises an ApiError if there is no process.
        """
        workspace = self._workspaces.of(turn)
        with self._lock:
            self._running.append(workspace)
        try:
            if parked := await self._reuse.take(turn, workspace):
                return Lease(parked.process, workspace, parked)
            self.parking.shrink(self._parkable())
            future = self._pools[turn.profile].lease(background=turn.background)
            cold = not future.done()
            process = await self._wait_for(future)
            if has_low_priority(turn):
                host.lower_priority(process.pid)
            return Lease(process, workspace, cold=cold)
        except BaseException:
            self._count_end(workspace)
            raise

    def release(self, lease: Lease, turn: Turn, state: ProcessState | None) -> None:
        """Park the process for the next turn that can use it, or stop it.

        *state* is the process's after *turn*, None if no other turn may run on it.
        """
        self._count_end(lease.workspace)
        self._reuse.park(turn, lease.process, lease.workspace, state, self._parkable())

    def lease_warm(self, profile: str) -> Future[Process]:
        """Return a future warm process; see Pool.lease."""
        return self._pools[profile].lease()

    async def boot(self, profile: Profile) -> Process:
        """Return a new process of a profile without a pool. Raises Unavailable."""
        threads, boot = self.supervisor.boot_threads, self.supervisor.boot
        try:
            return await self._wait_for(threads.submit(boot, profile))
        except BootFailed as error:
            raise unavailable(error) from None
        except RuntimeError:
            raise Unavailable(NO_THREAD) from None

    def catch_up(self) -> None:
        """Do what was put off while turns were starting: boots and clearings take their CPU time.

        Skipped while turns are starting for which somebody waits; the last of them does it.
        """
        self._reuse.catch_up()
        if self.throttle.idle():
            self.fill()
        self.supervisor.return_login()

    def fill(self) -> None:
        """Begin to boot the missing processes, and to clean up. Raises RuntimeError."""
        self._cleanup.start()
        for pool in self._pools.values():
            pool.fill()

    def health(self) -> dict[str, dict[str, Any]]:
        return {name: pool.health() for name, pool in self._pools.items()}

    def forget(self, session: SessionKey) -> None:
        """Stop a session's process and remove its directory, in the background."""
        self.parking.forget(session)
        self.supervisor.run_later(self._workspaces.forget, session)

    def close(self) -> None:
        """Stop every process and remove every directory except those of sessions."""
        self._cleanup.close()
        self._reuse.close()
        for pool in self._pools.values():
            pool.close()
        self.supervisor.close()

    def _pool(
        self,
        profile: Profile,
        lifecycle: Lifecycle,
        on_boot: Callable[[Process], None],
        failures: FailureLog,
    ) -> Pool:
        default = profile.name == self._settings.default_profile

        def boot() -> Process:
            process = self.supervisor.boot(profile, lambda: self._has_leisure(profile.name))
            on_boot(process)
            return process

        return Pool(
            self._settings.pool_size if default else self._settings.pool_size_other,
            Spawner(boot, self.supervisor.discard, self.supervisor.boot_threads, failures),
            lifecycle,
        )

    def _has_leisure(self, name: str) -> bool:
        """Say whether no turn waits for such a process, or needs the CPU."""
        return self.throttle.idle() and not self._pools[name].has_waiting()

    async def _wait_for(self, future: Future[Process]) -> Process:
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self.supervisor.abandon(future)
            raise

    def _clean_up(self) -> None:
        self.parking.remove_expired()
        with self._lock:
            in_use = [workspace for workspace in self._running if workspace]
        self._workspaces.keep(in_use)
        self._workspaces.remove_expired()
        self.supervisor.remove_leftovers()
        if self.throttle.idle():
            self.fill()  # a boot for which no thread could start

    def _parkable(self) -> int:
        """Return how many processes may be parked beside those that run."""
        return self._settings.max_concurrent_turns - len(self._running)

    def _count_end(self, workspace: str | None) -> None:
        with self._lock:
            self._running.remove(workspace)
