"""Which login and which Claude Code the gateway uses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from wrapper.errors import ApiError
from wrapper.services.background.lifecycle import Announce
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.login.expiry import LoginExpiry
from wrapper.services.claude.login.login import Login, detect_login, login_stamp
from wrapper.services.claude.login.monitor import LoginMonitor
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.settings import Settings

FRESH_SECONDS = 30.0
# The fields of the CLI's account that are passed on; e-mail address and organisation are not.
ACCOUNT_FIELDS = {
    "apiProvider": "provider",
    "subscriptionType": "subscription",
    "apiKeySource": "key_source",
    "tokenSource": "token_source",
}


class Status:
    """Describes the login, the CLI and its account. *lease* returns a process to ask.

    *announce* tells the operator of a login that is refused, or that ends soon.
    `login` watches whether the provider takes the login.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        lease: Callable[[], Future[Process]],
        announce: Announce,
    ):
        self._settings = settings
        self._environment = environment
        self.login = LoginMonitor(environment, LoginExpiry(environment, settings), announce)
        self._account = Account(lease, lambda: login_stamp(environment))

    def summary(self, supervisor: Supervisor) -> dict[str, str]:
        """Return `cli`, `cli_version` and `login`; nothing of a CLI that may not serve."""
        login = detect_login(self._environment)
        facts = {"login": f"{login.method} ({login.reason})"}
        with suppress(BootFailed):  # which the boot reports
            binary = supervisor.installation.binary()
            facts = {"cli": binary.path, "cli_version": binary.version, **facts}
        return facts

    def describe(
        self, supervisor: Callable[[], Supervisor], version: Callable[[], str | None]
    ) -> dict[str, Any]:
        """Return the login in force, the CLI and its account; see Engine.

        *version* is called last, since the CLI's version is known once a process has booted.
        """
        login = detect_login(self._environment)
        account: dict[str, str] = {}
        path, error, trials = None, None, {}
        try:
            path = supervisor().installation.binary().path
            account = self._account.read(supervisor(), self._settings.boot_timeout)
            trials = supervisor().trials.health()
        except BootFailed as failure:
            error = failure.reason
        except (ApiError, TimeoutError) as failure:
            error = str(failure) or "Claude Code did not answer in time."
        missing = [*self.login.mistakes(), *([error] if error else [])]
        return {
            "method": login.method,
            "reason": login.reason,
            "billed": _billed(login, account),
            "ready": not missing,
            "missing": missing,
            "expires_at": self.login.expires_at(),
            "warning": self.login.warning() or None,
            "cli": {
                "version": version(),
                "path": self._without_home(path),
                "error": error,
                "trials": trials,
            },
            "account": account,
        }

    def _without_home(self, path: str | None) -> str | None:
        home = self._environment.get("HOME", "")
        return path.replace(home, "~", 1) if path and home and path.startswith(home) else path


class Account:
    """Asks a warm process for the account, every FRESH_SECONDS at most.

    No turn can run on that process afterwards. *stamp* returns a value that changes when somebody
    may have logged in or out.
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
        """Return those of provider, subscription, key_source and token_source that are known.

        Raises ApiError, BootFailed or TimeoutError if no process answers within *seconds*.
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
            supervisor.abandon(future)
            raise
        try:
            answer = process.ask({"subtype": "initialize"}, seconds)
        finally:
            supervisor.discard(process)
        account = answer.get("account")
        account = account if isinstance(account, dict) else {}
        return {name: str(account[key]) for key, name in ACCOUNT_FIELDS.items() if account.get(key)}


def _billed(login: Login, account: Mapping[str, str]) -> str | None:
    """Return what pays for turns. A login of Claude Code can also be one for an API account."""
    if login.billed == "subscription" and "managed key" in account.get("key_source", ""):
        return "api_key"
    return login.billed
