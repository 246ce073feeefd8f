"""Boot and stop all Claude Code processes of one gateway."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from wrapper import host
from wrapper.services.background.threads import Threads
from wrapper.services.claude.errors.engine_errors import BootFailed, Refused
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.isolation.unix_user import PASSABLE
from wrapper.services.claude.login.login import LentLogin, credentials_file, uses_cli_login
from wrapper.services.claude.processes.binary import Binary, Installation, NoBinary, Replaced
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.runtime_dir import RuntimeDirectory, reap_abandoned
from wrapper.services.claude.processes.stages import Stages
from wrapper.services.claude.processes.trials.ending_checks import BUDGET
from wrapper.services.claude.processes.trials.trials import Trials
from wrapper.services.claude.processes.trials.warmup_checks import WARM_UP
from wrapper.services.claude.processes.warmup import warm_up
from wrapper.settings import Settings

STOPPING_THREADS = 8
# The names of processes' directories. Those of trials have others.
HOMES = "[0-9a-f]" * 16
# Longer than it takes from making a process's directory to registering the process.
LEFTOVER_SECONDS = 5.0

# The exit codes of a process that somebody, or the system for want of memory, has ended.
KILLED = (-signal.SIGKILL, -signal.SIGTERM)

T = TypeVar("T")

log = logging.getLogger(__name__)


class Supervisor:
    """Boots and stops processes, in directories that are removed with it, and lends them the login.

    Boots run in `boot_threads`, whose number limits how many run at once. `installation` has the
    binary that they run.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]):
        self._settings = settings
        self._stages = Stages()
        self._served: set[str] = set()
        reap_abandoned()
        self.installation = Installation(settings, environment)
        self._directory = RuntimeDirectory()
        if settings.claude_user:
            self._directory.path.chmod(PASSABLE)
        self._login = _lend_login(environment, self._directory.path)
        self.boot_threads = Threads(host.cores(), "claude-boot")
        self._stop_threads = Threads(STOPPING_THREADS, "claude-stop")
        # One beside those that boot, which turns wait for.
        self._trial_threads = Threads(1, "claude-trial")
        self.trials = Trials(settings, self._lend, self._trial_threads, self._directory.path)

    def boot(self, profile: Profile, has_leisure: Callable[[], bool] = lambda: False) -> Process:
        """Return a booted process, which is also warmed up if *has_leisure* returns True.

        Raises BootFailed, or Refused if this Claude Code may not serve.
        """
        try:
            process = self._spawn_qualified(profile)
        except Replaced:  # its successor has a trial of its own
            process = self._spawn_qualified(profile)
        warms_up = self._settings.pool_rehearse and process.qualification.passed(WARM_UP)
        try:
            process.boot(self._settings.boot_timeout, early=warms_up and profile.alike)
            if warms_up and has_leisure():
                self._warm_up(process)
        except BaseException:
            self.discard(process)
            raise
        self._stages.end_boot(process)
        return process

    def with_process(self, profile: Profile, use: Callable[[Process], None]) -> None:
        """Boot a process without the gateway's login, call *use* with it, and stop it.

        `close` ends it before. Raises BootFailed.
        """
        with self._lend(profile, self.installation.binary()) as process:
            process.boot(self._settings.boot_timeout)
            use(process)

    def _spawn_qualified(self, profile: Profile) -> Process:
        """Start a process of the binary that is qualified now. Raises Replaced or BootFailed."""
        binary, qualification = self._choose(profile)
        budgeted = profile.budgeted and not qualification.failure(BUDGET)
        config = self._login.config if self._login else None
        process = self._spawn(replace(profile, budgeted=budgeted), binary, config)
        process.qualification = qualification
        return process

    def _choose(self, profile: Profile) -> tuple[Binary, Qualification]:
        """Return the first binary that is qualified for *profile*. Raises BootFailed.

        Raises Refused if that leaves none from the start on. Where a binary was replaced, its
        processes serve as long as there are any, and turns wait for another one.
        """
        while True:
            try:
                binary = self.installation.binary()
            except NoBinary as error:
                if profile.name in self._served or not self.installation.unfit:
                    raise
                raise Refused("; ".join(self.installation.unfit.values())) from error
            try:
                qualification = self.trials.qualify(binary, profile)
            except Refused as error:
                self.installation.reject(binary, str(error))
            else:
                self._served.add(profile.name)
                return binary, qualification

    @contextmanager
    def _lend(
        self, profile: Profile, binary: Binary, config: Path | None = None
    ) -> Iterator[Process]:
        """Start a process without the gateway's login, and stop it after the block."""
        process = self._spawn(profile, binary, config)
        try:
            yield process
        finally:
            self.discard(process)

    def _spawn(self, profile: Profile, binary: Binary, config: Path | None = None) -> Process:
        """Start a process, which `close` ends as long as it boots.

        Raises Replaced if it may run another program than *binary*, or BootFailed.
        """
        self._start_reaper()
        process = Process(profile, binary.path, self._directory.path, config)
        if not self._stages.add(process):
            self.discard(process)
            raise BootFailed("The gateway is shutting down.")
        if not binary.is_current():
            self.discard(process)
            raise Replaced(binary)
        return process

    def _warm_up(self, process: Process) -> None:
        try:
            warm_up(process, self._settings.boot_timeout, self._settings.default_model)
        except BootFailed as error:
            if process.exit_code() not in KILLED:
                self.trials.fail_warm_up(process, str(error))
            raise

    def discard(self, process: Process) -> None:
        """Stop a process in the background; doing so twice is harmless."""
        if self._stages.begin_stop(process):
            self.run_later(self._stop, process)

    def run_later(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Call a function in the threads that stop processes.

        Where no thread can start, as while the interpreter ends, the function is called at once.
        """
        try:
            return self._stop_threads.submit(function, *arguments)
        except RuntimeError:
            done: Future[T] = Future()
            done.set_result(function(*arguments))
            return done

    def remove_leftovers(self) -> None:
        """Remove directories of stopped processes that could not be removed with them.

        Removing takes file descriptors, of which there may have been none left.
        """
        latest = time.time() - LEFTOVER_SECONDS
        for work in self._directory.path.glob(f"{HOMES}/work"):
            home = work.parent
            with suppress(FileNotFoundError):
                if not self._stages.uses(home) and home.stat().st_mtime < latest:
                    reaper.remove(home)

    def abandon(self, future: Future[Process]) -> None:
        """Stop waiting for a process; if it comes nevertheless, stop it."""
        if not future.cancel():
            future.add_done_callback(self._discard_result)

    def return_login(self) -> None:
        """Copy a login that Claude Code has renewed back to where it was lent from."""
        try:
            if self._login:
                self._login.copy_back()
        except OSError as error:
            log.error("the renewed login could not be copied back: %s", error)

    def close(self) -> None:
        """Stop every process and remove every directory."""
        booting = self._stages.close()
        self.trials.close()
        for process in booting:
            process.kill()  # its boot fails, and discards it
        for threads in (self.boot_threads, self._trial_threads):
            threads.shutdown(cancel_futures=True)
        # Those of `with_process` are discarded by their own threads.
        for process in self._stages.booted():
            self.discard(process)
        self._stop_threads.shutdown()
        self._directory.remove()

    def _start_reaper(self) -> None:
        try:
            self._directory.start_reaper()
        except OSError as error:
            what = f"Python cannot be run: {error.strerror}."
            raise BootFailed(what, f"Its path is {sys.executable}.") from None

    def _stop(self, process: Process) -> None:
        try:
            process.stop()
        finally:
            self._stages.remove(process)
            self.return_login()

    def _discard_result(self, future: Future[Process]) -> None:
        if not future.cancelled() and not future.exception():
            self.discard(future.result())


def _lend_login(environment: Mapping[str, str], directory: Path) -> LentLogin | None:
    """Lend Claude Code's own login if it is in a file, which Claude Code also renews."""
    in_file = not environment.get("CLAUDE_CODE_OAUTH_TOKEN")
    if not (in_file and uses_cli_login(environment)):
        return None
    config = directory / "login"
    config.mkdir(mode=0o700)
    return LentLogin(credentials_file(environment), config)
