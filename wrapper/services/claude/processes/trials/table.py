"""The table of all checks, in the order in which they run on a process."""

from __future__ import annotations

from wrapper.services.claude.processes.trials.check import Check
from wrapper.services.claude.processes.trials.ending_checks import ENDING_CHECKS
from wrapper.services.claude.processes.trials.isolation_checks import ISOLATION_CHECKS
from wrapper.services.claude.processes.trials.recycling_checks import RECYCLING_CHECKS
from wrapper.services.claude.processes.trials.request_checks import REQUEST_CHECKS
from wrapper.services.claude.processes.trials.skill_checks import SKILL_CHECKS
from wrapper.services.claude.processes.trials.text_checks import TEXT_CHECKS
from wrapper.services.claude.processes.trials.warmup_checks import WARM_UP_CHECKS

CHECKS: tuple[Check, ...] = (
    *TEXT_CHECKS,
    *REQUEST_CHECKS,
    *ISOLATION_CHECKS,
    *SKILL_CHECKS,
    *ENDING_CHECKS,
    *WARM_UP_CHECKS,
    *RECYCLING_CHECKS,
)


def check_of(id_: str) -> Check:
    """Return the check with this id. Raises StopIteration if there is none."""
    return next(check for check in CHECKS if check.id == id_)
