"""The results of one run of the benchmark, judged by the targets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.batches import BatchRound
from bench.cost import Cost
from bench.figures import Round
from bench.fronts import Fronts
from bench.load import Load
from bench.promises import Promises
from bench.targets import (
    FIRST_TARGETS,
    FOOTPRINT_TARGET,
    FRONT_TARGETS,
    LONG_TARGET,
    MCP_TARGETS,
    PRINTED_TARGETS,
    SESSION_TARGETS,
    TARGETS,
    Check,
    batch_checks,
    checks,
    missed,
    noises,
    too_large,
    too_slow,
    turn_checks,
)

AT_ONCE = 8
REACHED, MISSED, TOO_NOISY = 0, 1, 2


@dataclass(frozen=True)
class Results:
    """Everything that a run measures; `footprint` is in bytes."""

    single: Sequence[Round]
    burst: Sequence[Round]
    long: Sequence[Round]
    sessions: Sequence[Round]
    firsts: Sequence[Round]
    footprint: int
    load: Load
    cost: Cost
    fronts: Fronts
    mcp: Sequence[Round]
    promises: Promises
    batches: Sequence[BatchRound]

    @property
    def checks(self) -> list[Check]:
        measured = checks(self.burst, self.load, self.cost, self.fronts, self.promises)
        alone = turn_checks(self.single, self.sessions)
        return [*alone, *measured, *batch_checks(self.batches)]


def judge(results: Results) -> tuple[int, list[str]]:
    """Return the exit status, and a full sentence for each target."""
    if noise := noises(results.single):
        return TOO_NOISY, [f"Too noisy to judge: {reason}." for reason in noise]
    misses = [
        *missed(results.single),
        *missed(results.single, PRINTED_TARGETS),
        *too_slow(results.long),
        *missed(results.sessions, SESSION_TARGETS),
        *missed(results.firsts, FIRST_TARGETS),
        *missed(results.fronts.rounds, FRONT_TARGETS),
        *missed(results.mcp, MCP_TARGETS),
        *too_large(results.footprint),
        *(check for check in results.checks if not check.reached),
    ]
    if misses:
        return MISSED, [f"Missed: {target}." for target in misses]
    pairs = (*SESSION_TARGETS, *FIRST_TARGETS, *FRONT_TARGETS, *MCP_TARGETS)
    targets = (*TARGETS, *PRINTED_TARGETS, LONG_TARGET, *pairs, FOOTPRINT_TARGET)
    return REACHED, [f"Reached: {target}." for target in (*targets, *results.checks)]
