"""Warm-ups: which processes may have one, after a trial of their binary in the background."""

from __future__ import annotations

import logging
import tempfile
import threading
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.binary import Binary
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.trials.results import Result, Results
from wrapper.services.claude.processes.trials.warmup_trial import Failed, try_warm_up
from wrapper.settings import Settings

log = logging.getLogger(__name__)


class Lend(Protocol):
    """Starts a process of a profile for a block."""

    def __call__(self, profile: Profile, binary: Binary) -> AbstractContextManager[Process]: ...


class WarmUps:
    """Tries each binary once a profile, in *threads*, and says whether processes may be warmed up.

    Until the trial is over, and if it fails, they serve without. *lend* starts a process for a
    block.
    """

    def __init__(self, settings: Settings, lend: Lend, threads: Executor):
        self._results = Results(Path(settings.trials_dir).expanduser())
        self._seconds = settings.boot_timeout
        self._lend = lend
        self._threads = threads
        self._lock = threading.Lock()
        self._on = settings.pool_rehearse
        self._known: dict[tuple[Binary, str], Result | None] = {}
        self._reports: dict[str, dict[str, str]] = {}

    def permit(self, binary: Binary, profile: Profile) -> bool:
        """Say whether a process may be warmed up. The first question begins the trial."""
        with self._lock:
            if not (self._on and profile.pooled) or "error" in self._reports.get(profile.name, {}):
                return False
            tried = (binary, profile.name)
            if tried not in self._known:
                self._known[tried] = self._results.read(binary, profile)
                if self._known[tried] is None:
                    self._threads.submit(self._try, binary, profile)
            result = self._known[tried]
            status = "on" if result else "trying"
            self._reports[profile.name] = {"status": status}
        if result and result.failure:
            self.turn_off(profile, result.failure)
        return result is not None and not result.failure

    def turn_off(self, profile: Profile, failure: str) -> None:
        """Warm no process of *profile* up from now on: they work without it, too."""
        with self._lock:
            was_on = self._on and "error" not in self._reports.get(profile.name, {})
            self._reports[profile.name] = {"status": "off", "error": failure}
        if was_on:
            log.warning(
                "warm-up of %s processes is off from now on (POOL_REHEARSE): %s",
                profile.name,
                failure,
            )

    def close(self) -> None:
        """Let no further trial log that it failed, since its processes are stopped."""
        self._on = False

    def health(self) -> dict[str, dict[str, str]]:
        """Return, by profile, `status` (on, trying, off), and why warm-ups are off as `error`."""
        with self._lock:
            return dict(self._reports)

    def _try(self, binary: Binary, profile: Profile) -> None:
        try:
            result = self._run(binary, profile)
        except (BootFailed, OSError) as error:  # which may not happen again
            self.turn_off(profile, f"its trial could not run: {error}")
            return
        self._results.write(binary, profile, result)
        with self._lock:
            self._known[binary, profile.name] = result
            self._reports[profile.name] = {"status": "on"}
        if result.failure:
            self.turn_off(profile, result.failure)

    def _run(self, binary: Binary, profile: Profile) -> Result:
        with tempfile.TemporaryDirectory() as home:
            if profile.user:
                profile.user.own(Path(home))
            try:
                try_warm_up(
                    profile, lambda tried: self._lend(tried, binary), Path(home), self._seconds
                )
            except Failed as error:
                return Result(str(error))
        return Result()
