"""The trials of all binaries: each is qualified for a profile before its processes serve."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wrapper.services.claude.errors.engine_errors import BootFailed, Refused
from wrapper.services.claude.processes.binary import Binary, Replaced
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import HOW_TO_UPDATE, Profile
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.recycling import recycled_profiles
from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.examination import Finding, examine
from wrapper.services.claude.processes.trials.recycling_checks import RECYCLING
from wrapper.services.claude.processes.trials.results import Results
from wrapper.services.claude.processes.trials.table import CHECKS, check_of
from wrapper.services.claude.processes.trials.warmup_checks import WARM_UP
from wrapper.settings import Settings

log = logging.getLogger(__name__)

Key = tuple[Binary, str]
# A process of a trial may be killed, or be slow, for reasons that are not Claude Code's.
TRIES = 3
TRY_SECONDS = 5.0


class Lend(Protocol):
    """Starts a process of a profile for a block, with a config directory or one of its own."""

    def __call__(
        self, profile: Profile, binary: Binary, config: Path | None
    ) -> AbstractContextManager[Process]: ...


@dataclass(frozen=True)
class Candidate:
    """A binary for a profile, and what is known of it."""

    binary: Binary
    profile: Profile
    qualification: Qualification

    def fail(self, checks: Iterable[Check], reason: str) -> None:
        """Record for this gateway that those of *checks* fail that are not over."""
        for check in checks:
            if self.qualification.failure(check.id) is None:
                self.qualification.record(check.id, reason, transient=True)

    def check_fit(self, checks: Iterable[Check]) -> None:
        """Raise Refused if it fails one of *checks* without which its processes must not serve."""
        for check in checks:
            failure = self.qualification.failure(check.id)
            if failure and check.consequence is Consequence.REFUSED:
                remedies = "; or ".join(filter(None, (HOW_TO_UPDATE, check.remedy)))
                raise Refused(
                    f"Claude Code {self.binary.version} fails the check {check.id}: {failure}. "
                    f"{check.relies_on} To do: install another version: {remedies}"
                )


class Trials:
    """Tries each binary once a profile, and says which checks it passes.

    Those that come first run in the thread that boots the first process. The others run in
    *threads* while processes serve. *lend* starts processes. Their files are below *directory*.
    """

    def __init__(self, settings: Settings, lend: Lend, threads: Executor, directory: Path):
        self._settings = settings
        self._results = Results(Path(settings.trials_dir).expanduser())
        self._lend = lend
        self._threads = threads
        self._directory = directory
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._begun: set[Key] = set()  # those whose checks in the background have begun
        self._trying: dict[Key, threading.Lock] = {}
        self._qualified: dict[Key, Candidate] = {}
        self._current: dict[str, Candidate] = {}

    def qualify(self, binary: Binary, profile: Profile) -> Qualification:
        """Return what is known of the binary, after the checks that come first.

        The first call for a binary also begins the others. Raises Refused if its processes must not
        serve, and BootFailed if a check could not run.
        """
        if not profile.pooled:
            return Qualification(trusted=True)
        key = (binary, profile.name)
        with self._lock:
            trying = self._trying.setdefault(key, threading.Lock())
        with trying:  # others that boot wait for the trial
            candidate = self._qualified.get(key)
            if candidate is None:
                candidate = self._qualified[key] = self._try_first(binary, profile)
            if self._settings.trials and key not in self._begun:
                with suppress(RuntimeError):  # there is no thread: the next boot tries again
                    self._threads.submit(self._try_rest, candidate)
                    self._begun.add(key)
        self._current[profile.name] = candidate
        return candidate.qualification

    def current(self, profile: str) -> Qualification:
        """Return what is known of the binary that processes of *profile* run now."""
        candidate = self._current.get(profile)
        return candidate.qualification if candidate else Qualification()

    def examine(self, binary: Binary, profile: Profile) -> Iterator[Finding]:
        """Run all checks of *profile* now, whatever is stored, and store what they find."""
        candidate = Candidate(binary, profile, Qualification())
        yield from self._try(candidate, [check for check in CHECKS if check.is_for(profile)])

    def fail_warm_up(self, process: Process, failure: str) -> None:
        """Warm no process of this binary and profile up from now on: they work without it, too."""
        for candidate in list(self._current.values()):
            if candidate.qualification is process.qualification:
                was_on = candidate.qualification.passed(WARM_UP)
                candidate.qualification.record(WARM_UP, failure, transient=True)
                self._log(candidate, [WARM_UP] if was_on else [])

    def close(self) -> None:
        """Let no further trial log that it failed, since its processes are stopped."""
        self._closed.set()

    def health(self) -> dict[str, dict[str, Any]]:
        """Return, by profile, `status` (running, passed, failed) and why each check failed."""
        current = list(self._current.items()) if self._settings.trials else []
        return {name: self._health(candidate) for name, candidate in current}

    def warm_ups(self) -> dict[str, dict[str, str]]:
        """Return, by profile, `status` (on, trying, off), and why warm-ups are off as `error`."""
        if not self._settings.pool_rehearse:
            return {}
        current = list(self._current.items())
        return {name: _warm_up(candidate.qualification) for name, candidate in current}

    def _wanted(self, profile: Profile, *, first: bool) -> list[Check]:
        """Return the checks of *profile* that are of use, and that come first or not."""
        used = {
            WARM_UP: self._settings.pool_rehearse,
            RECYCLING: profile.name in recycled_profiles(self._settings),
        }
        return [
            check
            for check in CHECKS
            if check.is_for(profile) and check.comes_first is first and used.get(check.id, True)
        ]

    def _try_first(self, binary: Binary, profile: Profile) -> Candidate:
        if not self._settings.trials:
            return Candidate(binary, profile, Qualification(trusted=True))
        stored = self._results.read(binary, profile)
        candidate = Candidate(binary, profile, Qualification(stored))
        first = self._wanted(profile, first=True)
        try:
            for _ in self._try(candidate, first):
                pass
        finally:
            candidate.check_fit(first)
        self._log(candidate, candidate.qualification.failures())
        return candidate

    def _try_rest(self, candidate: Candidate) -> None:
        rest = self._wanted(candidate.profile, first=False)
        known = candidate.qualification.failures()
        for _ in range(TRIES):
            reason = self._run(candidate, rest)
            if not reason or self._closed.wait(TRY_SECONDS):
                break
        else:
            candidate.fail(rest, f"it could not run: {reason}")
        failures = candidate.qualification.failures()
        self._log(candidate, [check for check in failures if check not in known])

    def _run(self, candidate: Candidate, checks: list[Check]) -> str:
        """Run *checks*, and return why not all of them could run, if so."""
        try:
            for _ in self._try(candidate, checks):
                pass
        except Replaced:  # the next boot begins the trial of its successor
            return ""
        except (BootFailed, OSError) as error:
            return str(error)
        except Exception as error:
            log.exception("a check of Claude Code failed unexpectedly")
            return type(error).__name__
        return ""

    def _try(self, candidate: Candidate, checks: list[Check]) -> Iterator[Finding]:
        """Run those of *checks* that have no result, and store the results."""
        binary, profile, qualification = vars(candidate).values()
        missing = [check for check in checks if qualification.failure(check.id) is None]
        if not missing:
            return

        def lend(tried: Profile, config: Path | None) -> AbstractContextManager[Process]:
            return self._lend(tried, binary, config)

        try:
            seconds = self._settings.boot_timeout
            for finding in examine(profile, missing, lend, seconds, self._directory):
                qualification.record(finding.check.id, finding.failed)
                yield finding
        finally:
            self._results.write(binary, profile, qualification.results())

    def _log(self, candidate: Candidate, checks: Iterable[str]) -> None:
        """Log that a binary fails *checks*, and what follows."""
        for check in () if self._closed.is_set() else checks:
            log.warning(
                "Claude Code %s fails the check %s of %s processes: %s; %s",
                candidate.binary.version,
                check,
                candidate.profile.name,
                candidate.qualification.failure(check),
                check_of(check).consequence.value,
            )

    def _health(self, candidate: Candidate) -> dict[str, Any]:
        qualification, profile = candidate.qualification, candidate.profile
        wanted = [*self._wanted(profile, first=True), *self._wanted(profile, first=False)]
        runs = any(qualification.failure(check.id) is None for check in wanted)
        failed = qualification.failures()
        status = "running" if runs else "failed" if failed else "passed"
        return {"status": status, "failed": failed}


def _warm_up(qualification: Qualification) -> dict[str, str]:
    failure = qualification.failure(WARM_UP)
    if failure:
        return {"status": "off", "error": failure}
    return {"status": "trying" if failure is None else "on"}
