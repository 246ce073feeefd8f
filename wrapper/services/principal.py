"""The principal: who is calling, and what they may do at most."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# A name stands in logs, in the books, and names a directory.
NAME = re.compile(r"[A-Za-z0-9][\w.@+-]{0,63}", re.ASCII)


def _ceiling(meaning: str, default: Any = None) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Principal:
    """One caller. A ceiling of None is none; raises ValueError for a name that cannot be one.

    `shares` says that there are other callers, so that it gets a working directory of its own.
    """

    name: str
    shares: bool = True
    admin: bool = _ceiling("Sees what every key has spent.", False)
    models: tuple[str, ...] | None = _ceiling("Models that may run: names, or patterns with *.")
    profile: str | None = _ceiling("plain: Claude Code's own tools are out of reach.")
    tools: tuple[str, ...] | None = _ceiling("Claude Code's tools that may be used.")
    allowed_tools: tuple[str, ...] | None = _ceiling(
        "Permission rules that allow, in place of CLAUDE_ALLOWED_TOOLS."
    )
    disallowed_tools: tuple[str, ...] | None = _ceiling(
        "Permission rules that deny, beside CLAUDE_DISALLOWED_TOOLS."
    )
    permission_mode: str | None = _ceiling("The widest permission mode that may be asked for.")
    max_turns: int | None = _ceiling("Rounds of tool use that a request may take.")
    requests_per_minute: int | None = _ceiling(
        "Requests for turns a minute, refused ones included."
    )
    tokens_per_minute: int | None = _ceiling("Tokens a minute, of prompts and answers together.")
    concurrent_turns: int | None = _ceiling("Turns at once; further ones wait.")
    usd_per_day: float | None = _ceiling("Dollars a day, by UTC.")
    usd_per_month: float | None = _ceiling("Dollars a calendar month, by UTC.")

    @property
    def has_budget(self) -> bool:
        """Say whether its dollars are counted against a budget."""
        return self.usd_per_day is not None or self.usd_per_month is not None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name[:80]!r} is no name for a caller: a letter or digit, then up to 63 "
                "letters, digits, or any of _ . @ + -"
            )


# Who calls where there is no key at all, and who has the one of API_KEY.
LOCAL = Principal("local", shares=False, admin=True)
DEFAULT = Principal("default", shares=False, admin=True)
RESERVED = frozenset({LOCAL.name, DEFAULT.name})


@dataclass(frozen=True)
class Caller:
    """Who waits for an answer, under which id, and whether they have `gone`.

    `attempt` is their own name of the request, and `again` says that they have sent it before.
    `admitted` says that the request is counted against its rate already.
    """

    principal: Principal = LOCAL
    request_id: str = ""
    gone: Callable[[], bool] = lambda: False
    attempt: str = ""
    again: bool = False
    admitted: bool = False

    @property
    def may_repeat(self) -> bool:
        """Say whether the request may be one that was answered before."""
        return self.again or bool(self.attempt)
