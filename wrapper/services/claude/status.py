"""Which login and which Claude Code the gateway uses, and whether the provider takes the login."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from wrapper.errors import ApiError, UpstreamAuthentication
from wrapper.services.background.lifecycle import Announce
from wrapper.services.claude.errors.engine_errors import DOCTOR, BootFailed
from wrapper.services.claude.login.login import Login, detect_login, login_id, login_stamp
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

log = logging.getLogger(__name__)


class Status:
    """Describes the login, the CLI and its account. *lease* returns a process to ask.

    *announce* tells the operator of a login that is refused.
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
        self.login = LoginMonitor(environment, announce)
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


class LoginMonitor:
    """Watches the gateway's login: whether there is one, and whether the provider refused it.

    A refusal counts until a turn is answered, or somebody logs in again.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        announce: Announce = lambda type_, data, occurrence: None,
        now: Callable[[], float] = time.time,
    ):
        self._environment = environment
        self._announce = announce
        self._now = now
        self._refused: Hashable = None

    def id(self) -> str:
        """Return a name for the login, which shows nothing of it."""
        return login_id(self._environment)

    def log_mistakes(self) -> None:
        """Log what is missing of the login, in one line."""
        if mistakes := detect_login(self._environment).missing:
            log.warning("turns will fail without a login: %s; %s", "; ".join(mistakes), DOCTOR)

    def mistakes(self) -> list[str]:
        """Return what is missing of the login or wrong with it, and what to do."""
        login = detect_login(self._environment)
        if login.missing:
            return list(login.missing)
        refused = self._refused is not None and self._refused == login_stamp(self._environment)
        return [f"the provider refused the login ({login.reason}): {login.renewal}"] * refused

    def health(self) -> dict[str, Any]:
        """Return `status` (ok, missing, refused), and what to do as `error`."""
        if not (mistakes := self.mistakes()):
            return {"status": "ok"}
        status = "missing" if detect_login(self._environment).missing else "refused"
        return {"status": status, "error": "; ".join(mistakes)}

    def refuse(self, error: UpstreamAuthentication) -> None:
        """Take note that the provider refused the login. Only a new refusal is logged."""
        known = bool(self.mistakes())
        self._refused = login_stamp(self._environment)
        if not known:
            why, login = error.details or error.message, detect_login(self._environment)
            log.warning("%s (%s): %s; %s", why, login.reason, login.renewal, DOCTOR)
            self._announce_failure(login)

    def accept(self) -> None:
        """Take note that the provider answered a turn."""
        self._refused = None

    def _announce_failure(self, login: Login) -> None:
        """Announce it once a day for each login, on whichever worker it fails."""
        day = datetime.fromtimestamp(self._now(), UTC).date()
        data = {"id": self.id(), "method": login.method, "reason": login.reason}
        since = login_stamp(self._environment)[1]
        self._announce("login.failed", data, f"login:{self.id()}:{since}:{day}")


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
