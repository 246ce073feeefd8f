"""The priority of processes: turns for which nobody waits get CPU time after all others."""

from __future__ import annotations

from wrapper.services.turn import Turn


def has_low_priority(turn: Turn) -> bool:
    """Say whether the process of *turn* gets a low priority.

    It keeps that for good, so that no turn may run on it then for which somebody waits. A
    session's process runs turns of both kinds, and keeps its own priority.
    """
    return turn.background and turn.session is None
