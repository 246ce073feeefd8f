"""The identity: which login is in force, which Claude Code, and what it says of its account."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from typing import Any

from wrapper.errors import ApiError
from wrapper.services.claude.errors import BootFailed
from wrapper.services.claude.login import Login, credentials_file, detect_login
from wrapper.services.claude.processes import profiles
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.settings import Settings


class Status:
    """Whose the gateway's processes are. *lease* gives one that may be asked."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        lease: Callable[[], Future[Process]],
    ):
        self._settings = settings
        self._environment = environment
        self._account = Account(lease, self._stamp)

    def describe(
        self, started: Callable[[], Supervisor], version: Callable[[], str | None]
    ) -> dict[str, Any]:
        """Return the login in force, the CLI, and what it says of its account; see Engine.

        *version* is asked for last: it is that of a process that is up by then.
        """
        login = detect_login(self._environment)
        path, account, error = None, {}, None
        try:
            path = profiles.find_binary(self._settings, self._environment.get("PATH"))
            account = self._account.read(started(), self._settings.boot_timeout)
        except (ApiError, BootFailed, TimeoutError) as failure:
            error = str(failure) or "Claude Code did not answer in time."
        missing = [*login.missing, *([error] if error else [])]
        return {
            "method": login.method,
            "reason": login.reason,
            "ready": not missing,
            "missing": missing,
            "cli": {"version": version(), "path": self._without_home(path), "error": error},
            "account": account,
        }

    def _stamp(self) -> tuple[Login, float]:
        login = credentials_file(self._environment)
        changed = login.stat().st_mtime if login.exists() else 0.0
        return detect_login(self._environment), changed

    def _without_home(self, path: str | None) -> str | None:
        home = self._environment.get("HOME", "")
        return path.replace(home, "~", 1) if path and home and path.startswith(home) else path


FRESH_SECONDS = 30.0
# What of the CLI's account is told; an e-mail address or an organisation is not among it.
TOLD = {
    "apiProvider": "provider",
    "subscriptionType": "subscription",
    "apiKeySource": "key_source",
    "tokenSource": "token_source",
}


class Account:
    """Asks a warm process, which is of no use for a turn afterwards, at most every FRESH_SECONDS.

    *stamp* changes when a login or a logout may have happened.
    """

    def __init__(
        self,
        lease: Callable[[], Future[Process]],
        stamp: Callable[[], Hashable],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._lease = lease
        self._stamp = stamp
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[Hashable, float, dict[str, str]] | None = None

    def read(self, supervisor: Supervisor, seconds: float) -> dict[str, str]:
        """Return provider, subscription, key_source and token_source, as far as there are any.

        Raises ApiError, BootFailed or TimeoutError when no process answers within *seconds*.
        """
        with self._lock:
            stamp, now = self._stamp(), self._clock()
            if self._known and self._known[0] == stamp and now - self._known[1] < FRESH_SECONDS:
                return self._known[2]
            account = self._ask(supervisor, seconds)
            self._known = (stamp, now, account)
            return account

    def _ask(self, supervisor: Supervisor, seconds: float) -> dict[str, str]:
        future = self._lease()
        try:
            process = future.result(seconds)
        except TimeoutError:
            supervisor.give_up(future)
            raise
        try:
            said: dict[str, Any] = process.ask({"subtype": "initialize"}, seconds)
        finally:
            supervisor.discard(process)
        account = said.get("account")
        account = account if isinstance(account, dict) else {}
        return {name: str(account[key]) for key, name in TOLD.items() if account.get(key)}
