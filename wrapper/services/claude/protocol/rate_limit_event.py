"""Read Claude Code's rate_limit_event, which comes when the provider's limits have changed.

It comes only with a login of a subscription. No field of it is trusted to have its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

from wrapper.services.provider_limits import Overage, ProviderLimits, Status, Window

TYPE = "rate_limit_event"
LONGEST_NAME = 40
MOST_WINDOWS = 8


def limits_of(frame: Mapping[str, Any]) -> ProviderLimits | None:
    """Return the limits that *frame* reports, None if it says nothing that is understood."""
    info = _mapping(frame.get("rate_limit_info"))
    if (status := _status(info.get("status"))) is None:
        return None
    windows = {window.name: window for window in _windows(info)}
    return ProviderLimits(
        status, _seconds(info.get("resetsAt")), tuple(windows.values()), _overage(info)
    )


def _windows(info: Mapping[str, Any]) -> Iterator[Window]:
    """Yield the window that the status is about, and then those that are reported with it."""
    name, status = info.get("rateLimitType"), _status(info.get("status"))
    used, resets_at = _fraction(info.get("utilization")), _seconds(info.get("resetsAt"))
    if isinstance(name, str) and name != "overage":
        yield Window(name[:LONGEST_NAME], status, used, resets_at)
    for other, facts in [*_mapping(info.get("unifiedWindows")).items()][:MOST_WINDOWS]:
        facts = _mapping(facts)
        yield Window(
            str(other)[:LONGEST_NAME],
            _status(facts.get("status")),
            _fraction(facts.get("utilization")),
            _seconds(facts.get("resetsAt")),
        )


def _overage(info: Mapping[str, Any]) -> Overage | None:
    names = ("overageStatus", "overageResetsAt", "isUsingOverage", "overageDisabledReason")
    if not any(info.get(name) is not None for name in names):
        return None
    reason = info.get("overageDisabledReason")
    return Overage(
        _status(info.get("overageStatus")),
        _seconds(info.get("overageResetsAt")),
        info.get("isUsingOverage") is True,
        str(reason)[:LONGEST_NAME] if reason else None,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _status(value: Any) -> Status | None:
    return cast(Status, value) if value in get_args(Status) else None


def _seconds(value: Any) -> int | None:
    return int(value) if _is_number(value) and 0 < value < 1 << 40 else None


def _fraction(value: Any) -> float | None:
    return float(value) if _is_number(value) and 0 <= value < 1 << 20 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
