"""The examination of a binary: checks run one after another, and each has a finding."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.trials.check import Check
from wrapper.services.claude.processes.trials.failure import Failed
from wrapper.services.claude.processes.trials.trial import Lend, Trial, open_trial

# How much of a failure is kept: some quote what Claude Code wrote.
MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Finding:
    """What came of a check: why it `failed`, or "", and the `seconds` that it took."""

    check: Check
    failed: str
    seconds: float


def examine(
    profile: Profile, checks: Iterable[Check], lend: Lend, seconds: float, parent: Path
) -> Iterator[Finding]:
    """Run *checks* on processes of *profile* that *lend* starts. Raises BootFailed.

    Each answer of a process may take *seconds*. The files are in a new directory below *parent*.
    """
    with (
        tempfile.TemporaryDirectory(prefix="trial-", dir=parent) as folder,
        open_trial(profile, lend, Path(folder), seconds) as trial,
    ):
        for check in checks:
            yield _run(check, trial)


def _run(check: Check, trial: Trial) -> Finding:
    began, failed = time.monotonic(), ""
    try:
        check.run(trial)
    except Failed as failure:
        failed = str(failure)[:MOST_CHARACTERS]
    return Finding(check, failed, time.monotonic() - began)
