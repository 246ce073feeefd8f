"""The session: a conversation that is remembered, with its counters and times. Immutable."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from wrapper.services.events import Ending, Usage
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.options import Options
from wrapper.services.turn import SessionKey


@dataclass(frozen=True)
class Reply:
    """The last turn, so that a client that asks for it once more can be told it once more.

    `asked` is a digest of what was asked, and `attempt` the client's own name of its request.
    """

    asked: str
    attempt: str
    model: str
    ending: Ending
    usage: Usage
    cost_usd: float | None = None


@dataclass(frozen=True)
class SessionInfo:
    """What there is to say of a session without its messages.

    Times are in Unix seconds, `size` in bytes. `turns` counts those that were remembered, `resumed`
    those among them that found a process parked. `cost_usd` is as far as it was told. `options`
    are those that hold for its next turn.
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


@dataclass(frozen=True)
class Session:
    """A session whole. Its messages are as its client sent them and as they were answered."""

    head: SessionInfo
    messages: tuple[ChatMessage, ...] = ()


def new_session(owner: str, id_: str, now: float) -> Session:
    """Return an empty session, which nothing knows of yet."""
    return Session(SessionInfo(SessionKey(owner, id_, uuid.uuid4().hex), now, now))
