"""When a login ends, as far as the login itself, or the operator, says.

Nothing but times is read, of tokens that have one and of Claude Code's own login.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from wrapper.services.claude.login.login import credentials_file, detect_login
from wrapper.settings import Settings, parsers

# Claude Code's own login has a few hundred bytes.
MOST_BYTES = 64 * 1024
BEDROCK_KEY = "bedrock-api-key-"
AWS_TIME = "%Y%m%dT%H%M%SZ"


State = Literal["ok", "expiring", "expired"]


class LoginExpiry:
    """Says when the login in force ends, and warns some hours before, by *settings*.

    *now* returns the time in Unix seconds.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        settings: Settings,
        now: Callable[[], float] = time.time,
    ):
        self._environment = environment
        self._stated = settings.login_expires_at
        self._warning = settings.login_warning_hours * 3600
        self._now = now

    def at(self) -> float | None:
        """Return the end in Unix seconds, None if nobody says."""
        return expires_at(self._environment, self._stated)

    def state(self) -> State:
        end = self.at()
        if end is None or end > self._now() + self._warning:
            return "ok"
        return "expiring" if end > self._now() else "expired"

    def warning(self) -> str:
        """Return when the login ends or has ended, and what to do; empty without a warning."""
        end, state = self.at(), self.state()
        if end is None or state == "ok":
            return ""
        login, verb = (
            detect_login(self._environment),
            "expires" if state == "expiring" else "expired",
        )
        return f"the login ({login.reason}) {verb} at {iso(end)}: {login.renewal}"


def expires_at(environment: Mapping[str, str], stated: str = "") -> float | None:
    """Return when the login in force ends, in Unix seconds, None if nobody says.

    The operator's word, *stated* in ISO 8601, comes first. A login that Claude Code renews ends
    only once it cannot be renewed any more.
    """
    if stated:
        return parsers.seconds_of(stated)
    match detect_login(environment).billed:
        case "bedrock":
            return _of_aws(environment)
        case "auth_token":
            return _of_jwt(environment["ANTHROPIC_AUTH_TOKEN"])
        case "subscription":
            return _of_own_login(environment)
    return None


def is_renewed(environment: Mapping[str, str], now: float) -> bool:
    """Say whether Claude Code has to renew its own login before it can use it."""
    if detect_login(environment).billed != "subscription":
        return False
    access = _seconds(_own_login(environment).get("expiresAt"))
    return access is not None and access <= now


def iso(seconds: float) -> str:
    """Return the time of *seconds* in ISO 8601."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _of_own_login(environment: Mapping[str, str]) -> float | None:
    """Return the end of a login in a file: of its token, or later of that which renews it."""
    login = _own_login(environment)
    access = _seconds(login.get("expiresAt"))
    if not login.get("refreshToken"):
        return access
    renewal = _seconds(login.get("refreshTokenExpiresAt"))
    return None if renewal is None else max(renewal, access or 0.0)


def _own_login(environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Return Claude Code's login of its file, empty if that is not the one in force."""
    if environment.get("CLAUDE_CODE_OAUTH_TOKEN"):
        return {}
    try:
        with credentials_file(environment).open("rb") as file:
            return _object(_object(json.loads(file.read(MOST_BYTES))).get("claudeAiOauth"))
    except (OSError, ValueError):
        return {}


def _of_aws(environment: Mapping[str, str]) -> float | None:
    """Return the end of the AWS key for Bedrock, or else of the AWS credentials."""
    try:
        if key := environment.get("AWS_BEARER_TOKEN_BEDROCK"):
            return _of_bedrock_key(key)
        if environment.get("AWS_ACCESS_KEY_ID"):
            return parsers.seconds_of(environment.get("AWS_CREDENTIAL_EXPIRATION", ""))
    except (OverflowError, ValueError):
        return None
    return None


def _of_bedrock_key(key: str) -> float | None:
    """Return the end of a short-term key, which is a signed URL. Raises ValueError."""
    if not key.startswith(BEDROCK_KEY):
        return None
    url = base64.b64decode(key.removeprefix(BEDROCK_KEY)).decode()
    fields = parse_qs(urlsplit(f"//{url}").query)
    (since,), (seconds,) = fields.get("X-Amz-Date", [""]), fields.get("X-Amz-Expires", [""])
    began = datetime.strptime(since, AWS_TIME).replace(tzinfo=UTC)
    return began.timestamp() + int(seconds)


def _of_jwt(token: str) -> float | None:
    """Return the end of *token* if it is a JSON Web Token that has one."""
    try:
        _, payload, _ = token.split(".")
        claims = _object(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
        return _number(claims.get("exp"))
    except ValueError:
        return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _seconds(milliseconds: Any) -> float | None:
    number = _number(milliseconds)
    return None if number is None else number / 1000


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and 0 < value < 1 << 44 else None
