"""The session: a stored conversation with its counters and times. Immutable."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

from wrapper.services.events import Ending
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.options import Options
from wrapper.services.spent import Usage
from wrapper.services.tools.config import NO_CONFIG, ToolConfig
from wrapper.services.turn import SessionKey


@dataclass(frozen=True)
class Reply:
    """The last turn, which is replayed where a client repeats its request.

    `asked` is a digest of the request's messages, and `attempt` its idempotency key.
    """

    asked: str
    attempt: str
    model: str
    ending: Ending
    usage: Usage
    cost_usd: float | None = None


@dataclass(frozen=True)
class SessionInfo:
    """Everything about a session but its messages.

    Times are in Unix seconds, `size` in bytes. `turns` counts the stored turns, `resumed` those
    that continued in a parked process. `cost_usd` sums the costs that are known. `options` hold for
    the next turn, and `config` limits it if it was set. `approved` are digests of the tool uses
    that its owner has approved for the session, the latest last.
    """

    key: SessionKey
    created: float
    used: float
    messages: int = 0
    size: int = 0
    turns: int = 0
    resumed: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    reply: Reply | None = None
    options: Options = field(default_factory=Options)
    config: ToolConfig | None = None
    approved: tuple[str, ...] = ()

    @property
    def tool_config(self) -> ToolConfig:
        """Return the session's tool config: what was set, or what its first request asked for."""
        return self.config or self.options.tool_config

    def configured(self, config: ToolConfig) -> SessionInfo:
        """Return it with *config*, which replaces what its first request asked for."""
        options = self.options.with_tool_config(NO_CONFIG)
        return replace(self, config=config, options=options)


@dataclass(frozen=True)
class Session:
    """A session with its messages, as the client sent them and as they were answered."""

    head: SessionInfo
    messages: tuple[ChatMessage, ...] = ()


def new_session(owner: str, id_: str, now: float) -> Session:
    """Return an empty session, which is not stored yet."""
    return Session(SessionInfo(SessionKey(owner, id_, uuid.uuid4().hex), now, now))
