"""The Claude Code engine: a turn run by the official SDK on a process that is already warm."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

from wrapper.errors import ApiError, Unavailable
from wrapper.services.catalog import Model
from wrapper.services.claude import cli, orphans
from wrapper.services.claude.account import Account
from wrapper.services.claude.login import LentLogin
from wrapper.services.claude.pool import Pool
from wrapper.services.claude.process import BootFailed, DiedEarly, Process
from wrapper.services.credentials import Login, credentials_file, detect_login, uses_cli_login
from wrapper.services.turn import Event, Started, Turn
from wrapper.settings import Settings

STOPPING_THREADS = 8
# How many processes are tried where one ends before it was asked anything.
ATTEMPTS = 3
# Importing the SDK costs half a second, which only an engine that is started should pay.
CONVERSING = "wrapper.services.claude.conversing"

log = logging.getLogger(__name__)


class ClaudeEngine:
    """Runs turns on pools of warm processes, one pool a profile.

    *environment* is the gateway's own, of which the processes get the allowed part. *refused* is
    told the reason when the CLI turns out to be one that must not serve.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        refused: Callable[[str], None] = lambda reason: None,
    ):
        self._settings = settings
        self._environment = environment
        self._profiles = cli.build_profiles(settings, environment)
        self._account = Account(self._lease_any, self._discard, self._login_stamp)
        self._models: tuple[Model, ...] = ()
        self._version: str | None = None
        self._ignored: Counter[str] = Counter()
        self._refused = refused
        self._untold = threading.Lock()
        self._lock = threading.Lock()
        self._closed = False
        self._root: Path
        self._login: LentLogin | None = None
        self._pools: dict[str, Pool] = {}
        self._live: set[Process] = set()
        self._booting: set[Process] = set()

    def start(self) -> None:
        """Begin to boot processes, in the background; an engine that was closed stays so."""
        with self._lock:
            if self._pools or self._closed:
                return
            orphans.reap_abandoned()
            self._root = orphans.make_root(os.getpid())
            if _keeps_login(self._environment):
                config = self._root / "login"
                config.mkdir(mode=0o700)
                self._login = LentLogin(credentials_file(self._environment), config)
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
            self._booters = ThreadPoolExecutor(cores, "claude-boot")
            self._stoppers = ThreadPoolExecutor(STOPPING_THREADS, "claude-stop")
            self._pools = {name: self._pool(name) for name in self._profiles}
        self._booters.submit(importlib.import_module, CONVERSING)
        for pool in self._pools.values():
            pool.fill()

    async def run(self, turn: Turn) -> AsyncGenerator[Event]:
        """Yield the turn's events; see Engine."""
        self.start()
        for attempt in range(ATTEMPTS):
            process = await self._lease(turn.profile)
            try:
                async with aclosing(self._converse(process, turn)) as events:
                    async for event in events:
                        if isinstance(event, Started):
                            self._settle(turn.profile)
                        yield event
                return
            except DiedEarly:
                if attempt == ATTEMPTS - 1:
                    raise
            finally:
                self._discard(process)
                self._settle(turn.profile)

    def health(self) -> dict[str, Any]:
        pools = {name: pool.health() for name, pool in self._pools.items()}
        states = {name: pool["status"] for name, pool in pools.items()}
        if states.get(self._settings.default_profile) == "failing":
            status = "failing"
        elif "failing" in states.values():
            status = "degraded"
        else:
            status = "ok" if set(states.values()) == {"ready"} else "starting"
        return {"status": status, "pools": pools, "ignored_frames": dict(self._ignored)}

    def models(self) -> tuple[Model, ...]:
        return self._models

    def describe(self) -> dict[str, Any]:
        """Return the login in force, the CLI, and what it says of its account; see Engine."""
        login = detect_login(self._environment)
        path, account, error = None, {}, None
        try:
            path = cli.find_binary(self._settings, self._environment.get("PATH"))
            self.start()
            account = self._account.read(self._settings.boot_timeout)
        except (ApiError, BootFailed, TimeoutError) as failure:
            error = str(failure) or "Claude Code did not answer in time."
        missing = [*login.missing, *([error] if error else [])]
        return {
            "method": login.method,
            "reason": login.reason,
            "ready": not missing,
            "missing": missing,
            "cli": {"version": self._version, "path": self._without_home(path), "error": error},
            "account": account,
        }

    def close(self) -> None:
        """Stop every process and remove every directory."""
        with self._lock:
            self._closed = True
            pools, self._pools = self._pools, {}
            booting = list(self._booting)
        if not pools:
            return
        for pool in pools.values():
            pool.close()
        for process in booting:
            process.kill()  # whoever boots it sees that, and discards it
        self._booters.shutdown(cancel_futures=True)
        for process in list(self._live):
            self._discard(process)
        self._stoppers.shutdown()
        shutil.rmtree(self._root, ignore_errors=True)

    def _pool(self, name: str) -> Pool:
        default = name == self._settings.default_profile
        return Pool(
            self._settings.pool_size if default else self._settings.pool_size_other,
            boot=lambda: self._boot(name),
            stop=self._discard,
            booters=self._booters,
            refused=self._refuse,
        )

    def _refuse(self, reason: str) -> None:
        if self._untold.acquire(blocking=False):  # once, for all processes that are alike
            self._refused(reason)

    def _boot(self, name: str) -> Process:
        profile = self._profiles[name]
        binary = cli.find_binary(self._settings, self._environment.get("PATH"))
        config = self._login.config if self._login else None
        process = Process(profile, binary, self._root, config)
        with self._lock:
            self._live.add(process)
            self._booting.add(process)
        try:
            if self._closed:
                raise BootFailed("The gateway is shutting down.")
            process.boot(self._settings.boot_timeout)
        except BaseException:
            self._discard(process)
            raise
        finally:
            self._booting.discard(process)
        self._version = process.version
        self._models = tuple(_model(row) for row in process.models if row.get("value"))
        return process

    def _discard(self, process: Process) -> None:
        """Stop a process, once, in the background."""
        with self._lock:
            known = process in self._live
            self._live.discard(process)
        if known:
            self._stoppers.submit(self._stop, process)

    def _settle(self, profile: str) -> None:
        """Do what had better wait until the model has begun: a boot takes the turn's CPU time."""
        if pool := self._pools.get(profile):
            pool.fill()
        self._give_login_back()

    def _stop(self, process: Process) -> None:
        process.stop()
        self._give_login_back()

    def _give_login_back(self) -> None:
        try:
            if self._login:
                self._login.give_back()
        except OSError as error:
            log.error("the renewed login could not be given back: %s", error)

    async def _lease(self, profile: str) -> Process:
        future = self._pool_of(profile).lease()
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._discard_unwanted)
            raise

    def _discard_unwanted(self, future: Future[Process]) -> None:
        """Stop a process that came when nobody waited for it any more."""
        if not future.cancelled() and not future.exception():
            self._discard(future.result())

    def _lease_any(self) -> Future[Process]:
        return self._pool_of("plain").lease()

    def _pool_of(self, profile: str) -> Pool:
        if pool := self._pools.get(profile):
            return pool
        raise Unavailable("The gateway is shutting down.")

    def _login_stamp(self) -> tuple[Login, float]:
        login = credentials_file(self._environment)
        changed = login.stat().st_mtime if login.exists() else 0.0
        return detect_login(self._environment), changed

    def _without_home(self, path: str | None) -> str | None:
        home = self._environment.get("HOME", "")
        return path.replace(home, "~", 1) if path and home and path.startswith(home) else path

    async def _converse(self, process: Process, turn: Turn) -> AsyncGenerator[Event]:
        """Configure the process, ask it, and yield what it answers."""
        conversing = importlib.import_module(CONVERSING)
        conversation = conversing.Conversation(process, turn, self._ignored)
        try:
            async with aclosing(conversation.events()) as events:
                async for event in events:
                    yield event
        except ApiError as error:
            if conversation.started:
                # What the model did cannot be undone, and must not be done twice.
                error.retry = False
            raise
        finally:
            if words := conversation.last_words():
                log.info("process %d wrote to stderr: %s", process.pid, words)


def _keeps_login(environment: Mapping[str, str]) -> bool:
    """Say whether the login is one that Claude Code keeps in a file, and renews there."""
    return uses_cli_login(environment) and not environment.get("CLAUDE_CODE_OAUTH_TOKEN")


def _model(row: Mapping[str, Any]) -> Model:
    """Return one of the CLI's own models."""
    name = str(row["value"])
    return Model(name, str(row.get("resolvedModel") or name), str(row.get("displayName") or ""))
