"""How much of the provider's limits the gateway's logins have used, as far as it said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol

from wrapper.services.events import LimitsReported
from wrapper.services.store_health import StoreFailed, raising_unavailable

# Windows of a single model have its name at their end.
MODELS = ("opus", "sonnet", "haiku")
# After so many seconds without a word of it, a login is not in use any more.
FORGET_SECONDS = 30 * 86400.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LimitRow:
    """What is known of one `part` of a login's limits since `learned_at`, in Unix seconds.

    The part is `status`, `overage`, or the name of a window.
    """

    login: str
    part: str
    learned_at: float
    facts: Mapping[str, Any]


class LimitStore(Protocol):
    """Keeps rows. Threads and processes may share it. All methods may raise StoreFailed."""

    def put_limits(self, login: str, learned_at: float, facts: Mapping[str, Any]) -> None:
        """Keep the *facts* of parts by name, instead of what was known of these parts."""
        ...

    def read_limits(self) -> list[LimitRow]:
        """Return all rows, in order of login and part."""
        ...


class LoginLimits:
    """Keeps in *store*, which workers may share, what the provider reports.

    *clock* returns the time in Unix seconds. What the store does not take is not known, which
    stops no turn.
    """

    def __init__(self, store: LimitStore, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock

    def learn(self, report: LimitsReported) -> None:
        """Keep what is reported. A failure is only logged."""
        try:
            self._store.put_limits(report.login, self._clock(), report.limits.facts())
        except StoreFailed as error:
            log.warning("the provider's limits are not kept: %s", error.details)

    def report(self) -> list[dict[str, Any]]:
        """Return `logins` of the body of GET /v1/limits. Raises Unavailable."""
        with raising_unavailable("The provider's limits cannot be read."):
            rows = self._store.read_limits()
        recent = [row for row in rows if row.learned_at > self._clock() - FORGET_SECONDS]
        logins = groupby(recent, attrgetter("login"))
        return [self._login(login, {row.part: row for row in parts}) for login, parts in logins]

    def _login(self, login: str, rows: dict[str, LimitRow]) -> dict[str, Any]:
        status, overage = rows.pop("status", None), rows.pop("overage", None)
        return {
            "login": login,
            "status": self._known(status.facts, "status") if status else None,
            "learned_at": _iso(status.learned_at) if status else None,
            "windows": [self._window(row) for row in rows.values()],
            "overage": self._overage(overage) if overage else None,
        }

    def _window(self, row: LimitRow) -> dict[str, Any]:
        return {
            "name": row.part,
            "model": next((model for model in MODELS if row.part.endswith(f"_{model}")), None),
            "status": self._known(row.facts, "status"),
            "used": self._known(row.facts, "used"),
            "resets_at": _iso(self._known(row.facts, "resets_at")),
            "learned_at": _iso(row.learned_at),
        }

    def _overage(self, row: LimitRow) -> dict[str, Any]:
        facts = row.facts
        return {
            "status": self._known(facts, "status"),
            "in_use": self._known(facts, "in_use"),
            "disabled_reason": facts.get("disabled_reason"),
            "resets_at": _iso(self._known(facts, "resets_at")),
            "learned_at": _iso(row.learned_at),
        }

    def _known(self, facts: Mapping[str, Any], name: str) -> Any:
        """Return a fact, None once what it is about has been reset, as nothing is estimated."""
        resets_at = facts.get("resets_at")
        return None if resets_at and resets_at <= self._clock() else facts.get(name)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
