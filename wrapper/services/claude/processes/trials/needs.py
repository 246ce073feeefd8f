"""What turns need of Claude Code: what follows for a turn from checks that fail."""

from __future__ import annotations

from collections.abc import Iterator

from wrapper.errors import BadGateway
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.table import CHECKS
from wrapper.services.turn import Turn


def failed_checks(turn: Turn, qualification: Qualification) -> tuple[str, ...]:
    """Return the ids of failed checks that *turn* depends on.

    Raises BadGateway if it cannot run without one of them.
    """
    needed = list(_needed(turn, qualification))
    for check in needed:
        if check.consequence is Consequence.UNAVAILABLE:
            raise BadGateway(
                "The installed Claude Code lacks something that this request needs. "
                f"{check.relies_on} It fails this check ({check.id}); the gateway's operator can "
                "install another version.",
                retry=False,
            )
    return tuple(check.id for check in needed)


def _needed(turn: Turn, qualification: Qualification) -> Iterator[Check]:
    failures = qualification.failures()
    for check in CHECKS if failures else ():
        if check.id in failures and turn.profile in check.profiles and check.needed_by(turn):
            yield check
