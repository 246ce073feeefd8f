"""Watch the gateway's login: whether there is one, whether the provider takes it, and its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any

from wrapper.errors import ApiError, UpstreamAuthentication
from wrapper.services.background.lifecycle import Announce
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.claude.errors.engine_errors import DOCTOR
from wrapper.services.claude.errors.no_first_event import NoFirstEvent
from wrapper.services.claude.login.expiry import LoginExpiry, is_renewed, iso
from wrapper.services.claude.login.login import Login, detect_login, login_id, login_stamp

CHECK_SECONDS = 60.0

log = logging.getLogger(__name__)


class LoginMonitor:
    """Watches the gateway's login: is there one, did the provider refuse it, and does it end soon?

    A refusal counts until a turn is answered, or somebody logs in again. The same holds for an
    *expiry* that is over. *announce* tells the operator of both. *now* returns the time in Unix
    seconds.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        expiry: LoginExpiry,
        announce: Announce = lambda type_, data, occurrence: None,
        now: Callable[[], float] = time.time,
    ):
        self._environment = environment
        self._expiry = expiry
        self._announce = announce
        self._now = now
        self._refused: Hashable = None
        self._accepted_at = 0.0
        self._warned_of: float | None = None
        self._checks = PeriodicTask(self.check_expiry, CHECK_SECONDS)

    def start(self) -> None:
        """Log what is missing of the login, in one line, and from now on that it ends soon."""
        if mistakes := detect_login(self._environment).missing:
            log.warning("turns will fail without a login: %s; %s", "; ".join(mistakes), DOCTOR)
        self.check_expiry()
        self._checks.start()

    def close(self) -> None:
        self._checks.close()

    def id(self) -> str:
        """Return a name for the login, which shows nothing of it."""
        return login_id(self._environment)

    def mistakes(self) -> list[str]:
        """Return what is missing of the login or wrong with it, and what to do."""
        login = detect_login(self._environment)
        if login.missing:
            return list(login.missing)
        if self._is_refused():
            return [f"the provider refused the login ({login.reason}): {login.renewal}"]
        return [self._expiry.warning()] if self._has_expired() else []

    def expires_at(self) -> str | None:
        """Return when the login ends, None where nobody says."""
        end = self._expiry.at()
        return None if end is None else iso(end)

    def warning(self) -> str:
        """Return when a login ends that ends soon, and what to do."""
        return self._expiry.warning() if self._expiry.state() == "expiring" else ""

    def health(self) -> dict[str, Any]:
        """Return `status`, what to do as `error`, and when the login ends as `expires_at`.

        The status is ok, expiring, expired, missing or refused.
        """
        end = self.expires_at()
        return {
            "status": self._health_status(),
            **({"error": error} if (error := "; ".join(self.mistakes()) or self.warning()) else {}),
            **({"expires_at": end} if end else {}),
        }

    def judge(self, error: ApiError) -> ApiError:
        """Take note of what a turn's *error* says of the login, and return what is known of it."""
        if isinstance(error, UpstreamAuthentication):
            self.refuse(error)
        elif isinstance(error, NoFirstEvent) and is_renewed(self._environment, self._now()):
            return error.awaiting_login()
        return error

    def refuse(self, error: UpstreamAuthentication) -> None:
        """Take note that the provider refused the login. Only a new refusal is logged."""
        login = detect_login(self._environment)
        known = bool(login.missing) or self._is_refused()
        self._refused = login_stamp(self._environment)
        if not known:
            why = error.details or error.message
            log.warning("%s (%s): %s; %s", why, login.reason, login.renewal, DOCTOR)
            self._announce_failure(login)

    def accept(self) -> None:
        """Take note that the provider answered a turn."""
        self._refused = None
        self._accepted_at = self._now()

    def check_expiry(self) -> None:
        """Log and announce once that a login ends soon; all workers announce the same."""
        end = self._expiry.at()
        if end is None or end == self._warned_of or not (warning := self.warning()):
            return
        self._warned_of = end
        log.warning("%s", warning)
        data = {**self._described(detect_login(self._environment)), "expires_at": iso(end)}
        self._announce("login.expiring", data, f"login:{self.id()}:expires:{end:.0f}")

    def _health_status(self) -> str:
        if detect_login(self._environment).missing:
            return "missing"
        if self._is_refused():
            return "refused"
        if self._expiry.state() == "expiring":
            return "expiring"
        return "expired" if self._has_expired() else "ok"

    def _has_expired(self) -> bool:
        """Say whether the login has ended, and no turn was answered since."""
        end = self._expiry.at()
        return end is not None and self._expiry.state() == "expired" and self._accepted_at < end

    def _is_refused(self) -> bool:
        return self._refused is not None and self._refused == login_stamp(self._environment)

    def _announce_failure(self, login: Login) -> None:
        """Announce it once a day for each login, on whichever worker it fails."""
        day = datetime.fromtimestamp(self._now(), UTC).date()
        since = login_stamp(self._environment)[1]
        self._announce("login.failed", self._described(login), f"login:{self.id()}:{since}:{day}")

    def _described(self, login: Login) -> dict[str, str]:
        return {"id": self.id(), "method": login.method, "reason": login.reason}
