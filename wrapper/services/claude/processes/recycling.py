"""Which processes run further turns, also of other conversations of their key."""

from __future__ import annotations

from collections.abc import Callable

from wrapper import host
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.trials.recycling_checks import RECYCLING
from wrapper.services.turn import Turn
from wrapper.settings import Settings

_PROFILES: dict[str, tuple[str, ...]] = {
    "auto": ("plain",),
    "true": ("agent", "plain"),
    "false": (),
}


class Recycling:
    """Follows POOL_RECYCLE and its limits. *age* returns the seconds since a process's start."""

    def __init__(self, settings: Settings, age: Callable[[int], float] = host.age):
        self._profiles = recycled_profiles(settings)
        self._max_turns = settings.recycle_max_turns
        self._max_age = settings.recycle_max_age
        self._age = age

    def rewinds(self, turn: Turn, process: Process) -> bool:
        """Say whether the process may have to be rewound after *turn*. A plain one is cleared."""
        return turn.profile == "agent" and self._applies(turn, process)

    def permits(self, turn: Turn, process: Process, state: ProcessState) -> bool:
        """Say whether another conversation may follow *turn*, which leaves this *state*."""
        young = state.turns < self._max_turns and self._age(process.pid) < self._max_age
        return young and self._applies(turn, process)

    def _applies(self, turn: Turn, process: Process) -> bool:
        """Say whether this binary may be recycled, and *turn* binds its process to nothing."""
        bound = turn.session or turn.mcp_servers  # the servers may remember the turn
        wanted = turn.profile in self._profiles and not bound
        return wanted and process.qualification.passed(RECYCLING)


def recycled_profiles(settings: Settings) -> tuple[str, ...]:
    """Return the profiles whose processes may be recycled, if their trial allows it."""
    return _PROFILES[settings.pool_recycle]


def may_continue(turn: Turn) -> bool:
    """Say whether a later turn of the same conversation can run on *turn*'s process.

    Without a session that is one of an agent, unless MCP servers that run for it may remember it.
    """
    return bool(turn.session or (turn.profile == "agent" and not turn.mcp_servers))
