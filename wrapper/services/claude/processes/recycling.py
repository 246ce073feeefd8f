"""Which processes run further turns, also of other conversations of their key."""

from __future__ import annotations

from collections.abc import Callable

from wrapper import host
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.processes.trials.recycling_checks import RECYCLING
from wrapper.services.turn import Turn
from wrapper.settings import Settings


class Recycling:
    """Follows POOL_RECYCLE and its limits. *age* returns the seconds since a process's start."""

    def __init__(self, settings: Settings, age: Callable[[int], float] = host.age):
        self._profiles = recycled_profiles(settings)
        self._max_turns = settings.recycle_max_turns
        self._max_age = settings.recycle_max_age
        self._age = age

    def permits(self, turn: Turn, process: Process, state: ProcessState) -> bool:
        """Say whether another conversation may follow *turn*, which leaves this *state*."""
        young = state.turns < self._max_turns and self._age(process.pid) < self._max_age
        bound = turn.session or turn.mcp_servers  # the servers may remember the turn
        wanted = turn.profile in self._profiles and young and not bound
        return wanted and process.qualification.passed(RECYCLING)


def recycled_profiles(settings: Settings) -> tuple[str, ...]:
    """Return the profiles whose processes may be recycled, if their trial allows it.

    What the host's settings add to an agent, such as the output of a hook at its start, might not
    be the same once it is cleared.
    """
    if settings.pool_recycle == "false":
        return ()
    return ("plain",) if settings.claude_setting_sources else ("agent", "plain")


def may_continue(turn: Turn) -> bool:
    """Say whether a later turn of the same conversation can run on *turn*'s process.

    Without a session that is one of an agent, unless MCP servers that run for it may remember it.
    """
    return bool(turn.session or (turn.profile == "agent" and not turn.mcp_servers))


def forgets(turn: Turn, *, recyclable: bool) -> bool:
    """Say whether *turn*'s process is cleared before a later turn needs it, if the CPU is free.

    A plain process has spent its budget, and runs no further turn before. An agent keeps a
    conversation of several messages, which its client may send again with more at its end.
    """
    return turn.profile == "plain" or (recyclable and len(turn.messages) == 1)
