"""Warm-ups: which processes may have one, after a trial of their binary in the background."""

from __future__ import annotations

import logging
import tempfile
import threading
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from wrapper.services.claude.errors import BootFailed
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
    """Tries each binary once, in *threads*, and says whether its processes may be warmed up.

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
        self._failure = ""

    def permit(self, binary: Binary, profile: Profile) -> bool:
        """Say whether a process may be warmed up. The first question begins the trial."""
        if not (self._on and profile.alike):
            return False
        tried = (binary, profile.name)
        with self._lock:
            if tried not in self._known:
                self._known[tried] = self._results.read(binary, profile)
                if self._known[tried] is None:
                    self._threads.submit(self._try, binary, profile)
            result = self._known[tried]
        if result and result.failure:
            self.turn_off(result.failure)
        return result is not None and not result.failure

    def turn_off(self, failure: str) -> None:
        """Warm nothing up from now on: processes work without it, too."""
        with self._lock:
            was_on, self._on = self._on, False
            self._failure = failure
        if was_on:
            log.warning("warm-up is off from now on (POOL_REHEARSE): %s", failure)

    def close(self) -> None:
        """Let no further trial log that it failed, since its processes are stopped."""
        self._on = False

    def health(self) -> dict[str, Any]:
        """Return `status` (on, trying, off), and why warm-ups are off as `error`."""
        with self._lock:
            if self._failure:
                return {"status": "off", "error": self._failure}
            if not self._on:
                return {"status": "off"}
            return {"status": "trying" if None in self._known.values() else "on"}

    def _try(self, binary: Binary, profile: Profile) -> None:
        result = Result()
        try:
            with tempfile.TemporaryDirectory() as home:
                try_warm_up(
                    profile, lambda tried: self._lend(tried, binary), Path(home), self._seconds
                )
        except Failed as error:
            result = Result(str(error))
        except (BootFailed, OSError) as error:  # which may not happen again
            self.turn_off(f"its trial could not run: {error}")
            return
        self._results.write(binary, profile, result)
        with self._lock:
            self._known[binary, profile.name] = result
        if result.failure:
            self.turn_off(result.failure)
