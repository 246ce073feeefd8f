"""The fleet: all Claude Code processes of one gateway, each booted here and stopped once."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from wrapper import host
from wrapper.services.claude.errors import BootFailed
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.isolation.unix_user import PASSABLE
from wrapper.services.claude.login import LentLogin, credentials_file, uses_cli_login
from wrapper.services.claude.processes import profiles
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.runtime_dir import RuntimeDirectory, reap_abandoned
from wrapper.services.claude.processes.warmup import rehearse
from wrapper.settings import Settings

STOPPING_THREADS = 8
# Long enough for a process that is just being made to be known.
LITTER_SECONDS = 5.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class Supervisor:
    """Boots, lends a login to, and stops processes, in directories that go with it.

    `booters` is where boots are to run: its threads bound how many do at once.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]):
        self._settings = settings
        self._environment = environment
        self._lock = threading.Lock()
        self._closed = False
        self._rehearses = settings.pool_rehearse
        self._live: set[Process] = set()
        self._booting: set[Process] = set()
        self._homes: set[Path] = set()
        reap_abandoned()
        self._root = RuntimeDirectory()
        if settings.claude_user:
            self._root.path.chmod(PASSABLE)
        self._login = self._lend_login()
        self.booters = ThreadPoolExecutor(host.cores(), "claude-boot")
        self._stoppers = ThreadPoolExecutor(STOPPING_THREADS, "claude-stop")

    def boot(
        self, profile: profiles.Profile, at_leisure: Callable[[], bool] = lambda: False
    ) -> Process:
        """Return a process that is up, and has rehearsed its turn if that can be done *at_leisure*.

        Raises BadGateway, BootFailed or Refused.
        """
        binary = profiles.find_binary(self._settings, self._environment.get("PATH"))
        config = self._login.config if self._login else None
        self._guard()
        process = Process(profile, binary, self._root.path, config)
        with self._lock:
            self._live.add(process)
            self._booting.add(process)
            self._homes.add(process.home)
        try:
            if self._closed:
                raise BootFailed("The gateway is shutting down.")
            process.boot(self._settings.boot_timeout)
            if self._rehearses and process.greeted and at_leisure():
                self._rehearse(process)
        except BaseException:
            self.discard(process)
            raise
        finally:
            self._booting.discard(process)
        return process

    def _rehearse(self, process: Process) -> None:
        """Have it rehearse; after one that cannot none does: they are of use without, too."""
        try:
            rehearse(process, self._settings.boot_timeout)
        except BootFailed as error:
            if not self._closed:
                self._rehearses = False
                log.warning("no process rehearses its turn any more (POOL_REHEARSE): %s", error)
            raise

    def discard(self, process: Process) -> None:
        """Stop a process, once, in the background."""
        with self._lock:
            known = process in self._live
            self._live.discard(process)
        if known:
            self.later(self._stop, process)

    def later(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Call a function in the background, where processes are stopped.

        When the interpreter ends there is no background any more: it is called here and now.
        """
        try:
            return self._stoppers.submit(function, *arguments)
        except RuntimeError:
            done: Future[T] = Future()
            done.set_result(function(*arguments))
            return done

    def tidy(self) -> None:
        """Remove what could not be removed with its process: that takes descriptors, too."""
        latest = time.time() - LITTER_SECONDS
        for work in self._root.path.glob("*/work"):
            home = work.parent
            with suppress(FileNotFoundError):
                if home not in self._homes and home.stat().st_mtime < latest:
                    reaper.remove(home)

    def give_up(self, future: Future[Process]) -> None:
        """Wait for a process no more; one that comes all the same is stopped."""
        if not future.cancel():
            future.add_done_callback(self._discard_unwanted)

    def give_login_back(self) -> None:
        """Bring a login that Claude Code has renewed back to where it came from."""
        try:
            if self._login:
                self._login.give_back()
        except OSError as error:
            log.error("the renewed login could not be given back: %s", error)

    def close(self) -> None:
        """Stop every process and remove every directory."""
        with self._lock:
            self._closed = True
            booting = list(self._booting)
        for process in booting:
            process.kill()  # whoever boots it sees that, and discards it
        self.booters.shutdown(cancel_futures=True)
        for process in list(self._live):
            self.discard(process)
        self._stoppers.shutdown()
        self._root.remove()

    def _guard(self) -> None:
        try:
            with self._lock:
                self._root.guard()
        except OSError as error:
            raise BootFailed(f"{sys.executable} cannot be run: {error.strerror}") from None

    def _lend_login(self) -> LentLogin | None:
        """Lend a login that Claude Code keeps in a file, and renews there; there are others."""
        kept = not self._environment.get("CLAUDE_CODE_OAUTH_TOKEN")
        if not (kept and uses_cli_login(self._environment)):
            return None
        config = self._root.path / "login"
        config.mkdir(mode=0o700)
        return LentLogin(credentials_file(self._environment), config)

    def _stop(self, process: Process) -> None:
        process.stop()
        self._homes.discard(process.home)
        self.give_login_back()

    def _discard_unwanted(self, future: Future[Process]) -> None:
        if not future.cancelled() and not future.exception():
            self.discard(future.result())
