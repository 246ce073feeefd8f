"""A finished request, what it used, and the query that chooses some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wrapper.services.usage.store import Amounts
from wrapper.services.usage.tool_counts import ToolCounts

# The outcomes of requests that did not fail.
DONE, CLIENT_GONE = "done", "client_gone"
# In a query: every other outcome.
FAILED = "failed"


@dataclass(frozen=True)
class RequestUsage:
    """What one request used, as the ledger counts it, the day it counts for, and its tools."""

    day: str
    amounts: Amounts = field(default_factory=Amounts)
    tools: Mapping[str, ToolCounts] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedRequest:
    """A request that is over. It `began` at a time in Unix seconds, and counts for its `day`.

    `session` is the session that it names, or Claude Code's if that is the client. `outcome` is
    done, client_gone or the code of its error. `details` have the rest, and can be JSON.
    A store sets the `position`; requests that finished later have later ones.
    """

    id: str
    key: str
    model: str
    session: str
    outcome: str
    day: str
    began: float
    amounts: Amounts
    details: Mapping[str, Any]
    position: str = ""


@dataclass(frozen=True)
class RequestQuery:
    """Chooses the requests of the days from `first` to `last`, narrowed by what is not empty.

    `model` is a part of the model's name, `id` that of the request or of its session, and `outcome`
    may be FAILED.
    """

    first: str
    last: str
    key: str | None = None
    model: str = ""
    outcome: str = ""
    id: str = ""

    def matches(self, request: FinishedRequest) -> bool:
        return (
            self.first <= request.day <= self.last
            and self.key in (None, request.key)
            and self.model in request.model
            and self.id in ("", request.id, request.session)
            and self._has_outcome(request.outcome)
        )

    def _has_outcome(self, outcome: str) -> bool:
        if self.outcome == FAILED:
            return outcome not in (DONE, CLIENT_GONE)
        return self.outcome in ("", outcome)


@dataclass(frozen=True)
class Latency:
    """How long an answer took, in milliseconds: until its first token, and in total."""

    day: str
    model: str
    first_token: int
    total: int
