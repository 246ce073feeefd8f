"""What the model's provider says about the limits of the gateway's login."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["allowed", "allowed_warning", "rejected"]


@dataclass(frozen=True)
class Window:
    """A time in which use is limited, such as `five_hour`.

    `used` is a fraction of the limit, which may exceed 1. `resets_at` is in Unix seconds. What the
    provider does not say is None.
    """

    name: str
    status: Status | None = None
    used: float | None = None
    resets_at: int | None = None


@dataclass(frozen=True)
class Overage:
    """Use beyond the limits, which is paid for apart; `disabled_reason` says why it is off."""

    status: Status | None = None
    resets_at: int | None = None
    in_use: bool = False
    disabled_reason: str | None = None


@dataclass(frozen=True)
class ProviderLimits:
    """The limits that an answer of the provider reports.

    `status` says whether requests are refused. `resets_at` is when that status ends, in Unix
    seconds.
    """

    status: Status
    resets_at: int | None = None
    windows: tuple[Window, ...] = ()
    overage: Overage | None = None

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return what is reported of each part: the status, each window, and the overage."""
        status = {"status": self.status, "resets_at": self.resets_at}
        parts: dict[str, dict[str, Any]] = {"status": status}
        parts |= {window.name: asdict(window) for window in self.windows}
        if self.overage:
            parts["overage"] = asdict(self.overage)
        return parts
