"""The principal: who sends a request, the limits of their key, and those of users below it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol

from wrapper.services.tools.config import ToolConfig

# A name is written to logs and to the usage store, and names a directory.
NAME = re.compile(r"[A-Za-z0-9][\w.@+-]{0,63}", re.ASCII)


def _ceiling(meaning: str, default: Any = None, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"meaning": meaning}, repr=not secret)


# The id of all users whom requests do not name. Other ids are hashes.
UNNAMED = "unnamed"


class LimitHolder(Protocol):
    """Who has rates and budgets: a key, or a user below a key. A limit of None does not apply.

    `name` is the key's, and `user` the id of the user below it, or "". `label` stands for them in
    messages, and `prefix` stands before the names of their limits.
    """

    @property
    def name(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def requests_per_minute(self) -> int | None: ...
    @property
    def tokens_per_minute(self) -> int | None: ...
    @property
    def concurrent_turns(self) -> int | None: ...
    @property
    def usd_per_day(self) -> float | None: ...
    @property
    def usd_per_month(self) -> float | None: ...


@dataclass(frozen=True)
class Principal:
    """A caller. A limit of None does not apply. Raises ValueError for a name that is not allowed.

    `shares` says that there are other callers, so that this one has its own working directory.
    `config` narrows what agents may do within the other limits; an admin sets it.
    """

    name: str
    shares: bool = True
    admin: bool = _ceiling("Sees what every key has spent, and sets their tool configs.", False)
    models: tuple[str, ...] | None = _ceiling("Models that may run: names, or patterns with *.")
    fallback_models: tuple[str, ...] = _ceiling(
        "Models that answer, in this order, if a request's model fails before it begins; a request "
        "may name others. Default: none.",
        (),
    )
    profile: str | None = _ceiling("plain: Claude Code's own tools are out of reach.")
    tools: tuple[str, ...] | None = _ceiling(
        "Tools that may be used: Claude Code's, and those of MESSAGES_SERVER_TOOLS."
    )
    allowed_tools: tuple[str, ...] | None = _ceiling(
        "Permission rules that allow, in place of CLAUDE_ALLOWED_TOOLS."
    )
    disallowed_tools: tuple[str, ...] | None = _ceiling(
        "Permission rules that deny, beside CLAUDE_DISALLOWED_TOOLS."
    )
    mcp_servers: tuple[str, ...] = _ceiling(
        "MCP servers of MCP_CONFIG that may be used: names, or patterns with *. Default: none.", ()
    )
    mcp_hosts: tuple[str, ...] = _ceiling(
        "Hosts of MCP servers that requests may bring, of those of MCP_CALLER_HOSTS: names, or "
        "patterns with *. Default: none.",
        (),
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
    requires_user: bool = _ceiling(
        "Refuses requests that name no user: `safety_identifier` or `user`, or in the Messages API "
        "`metadata.user_id`.",
        False,
    )
    user_requests_per_minute: int | None = _ceiling(
        "Requests a minute of each user that requests name. All that name none share one limit."
    )
    user_tokens_per_minute: int | None = _ceiling("Tokens a minute of each user.")
    user_concurrent_turns: int | None = _ceiling("Turns at once of each user; further ones wait.")
    user_usd_per_day: float | None = _ceiling("Dollars a day, by UTC, of each user.")
    user_usd_per_month: float | None = _ceiling("Dollars a calendar month, by UTC, of each user.")
    webhook_url: str = _ceiling(
        "URL that gets the key's events (docs/webhooks.md); `keys webhook` sets it.",
        "",
        secret=True,
    )
    webhook_secret: str = _ceiling(
        "Signs these events: whsec_ and base64. It is needed with webhook_url.", "", secret=True
    )
    config: ToolConfig | None = _ceiling(  # noqa: RUF009 - a field, as above
        "A table that narrows tools further (docs/tools.md); admins set it at `/v1/tools/config`."
    )

    # Each request asks for these several times.

    @cached_property
    def has_budget(self) -> bool:
        """Say whether the caller, or each user below, has a budget."""
        budgets = (self.usd_per_day, self.usd_per_month)
        return any(limit is not None for limit in (*budgets, *self._user_budgets))

    @cached_property
    def limits_users(self) -> bool:
        """Say whether the key limits each of its users."""
        rates = (self.user_requests_per_minute, self.user_tokens_per_minute)
        limits = (*rates, self.user_concurrent_turns, *self._user_budgets)
        return self.requires_user or any(limit is not None for limit in limits)

    @property
    def _user_budgets(self) -> tuple[float | None, float | None]:
        return self.user_usd_per_day, self.user_usd_per_month

    @property
    def user(self) -> str:
        return ""

    @property
    def label(self) -> str:
        return f"the key {self.name!r}"

    @property
    def prefix(self) -> str:
        return ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name[:80]!r} is no name for a caller: a letter or digit, then up to 63 "
                "letters, digits, or any of _ . @ + -"
            )


@dataclass(frozen=True)
class EndUser:
    """A user below a *key*, with the limits that it sets for each. It is a LimitHolder.

    `user` is a hash, as identifiers are personal data.
    """

    key: Principal
    user: str

    @classmethod
    def named(cls, key: Principal, identifier: str) -> EndUser:
        """Return the user whom a request names by *identifier*; without one they are UNNAMED."""
        digest = sha256(f"{key.name}/{identifier}".encode("utf-8", "surrogatepass")).hexdigest()
        return cls(key, digest[:32] if identifier else UNNAMED)

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def label(self) -> str:
        whom = "users whom requests do not name" if self.user == UNNAMED else "the request's user"
        return f"{whom} (of {self.key.label})"

    @property
    def prefix(self) -> str:
        return "user_"

    @property
    def requests_per_minute(self) -> int | None:
        return self.key.user_requests_per_minute

    @property
    def tokens_per_minute(self) -> int | None:
        return self.key.user_tokens_per_minute

    @property
    def concurrent_turns(self) -> int | None:
        return self.key.user_concurrent_turns

    @property
    def usd_per_day(self) -> float | None:
        return self.key.user_usd_per_day

    @property
    def usd_per_month(self) -> float | None:
        return self.key.user_usd_per_month


# The caller without keys, and the caller with API_KEY.
_ALL = ("*",)
LOCAL = Principal("local", shares=False, admin=True, mcp_servers=_ALL, mcp_hosts=_ALL)
DEFAULT = Principal("default", shares=False, admin=True, mcp_servers=_ALL, mcp_hosts=_ALL)
RESERVED = frozenset({LOCAL.name, DEFAULT.name})


@dataclass(frozen=True)
class Caller:
    """Who waits for the answer of a request. `gone` says whether they have disconnected.

    `attempt` is the client's idempotency key, and `again` says that the client has sent the request
    before. `admitted` says that the request already counts against its rate limit. `address` is
    that of the other end of the connection, and empty without one. `client_session` is the id that
    Claude Code, as the client, gives its session. `span` is the request's, if it is traced.
    `background` says that nobody waits, so that requests of those who do come first, and `lasting`
    that a turn may take BACKGROUND_TIMEOUT. `user` is whom the request names below a key that
    limits its users.
    """

    principal: Principal = LOCAL
    request_id: str = ""
    gone: Callable[[], bool] = lambda: False
    attempt: str = ""
    again: bool = False
    admitted: bool = False
    address: str = ""
    client_session: str = ""
    background: bool = False
    lasting: bool = False
    span: Any = field(default=None, compare=False, repr=False)
    user: EndUser | None = None

    @property
    def holders(self) -> tuple[LimitHolder, ...]:
        """Return whose limits the request has to keep."""
        return (self.principal, self.user) if self.user else (self.principal,)

    @property
    def may_repeat(self) -> bool:
        """Say whether the request may have been answered before."""
        return self.again or bool(self.attempt)
