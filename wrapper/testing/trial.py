"""A session store under test, and the sessions that the tests keep in it."""

# ruff: noqa: S101 - these checks are assertions

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from wrapper.errors import Conflict
from wrapper.services.events import Ending
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.session import Reply, Session, SessionInfo, new_session
from wrapper.services.sessions.store import Claim, SessionStore
from wrapper.services.spent import Usage
from wrapper.services.tools.config import ToolConfig
from wrapper.services.turn import (
    Document,
    Image,
    RedactedThinking,
    Thinking,
    ToolCall,
    ToolResult,
)

CREATED = 1_800_000_000.25

IMAGE = Image("image/png", "iVBORw0KGgo=")
# Messages with every kind of part, in every role.
MESSAGES = (
    ChatMessage("system", ("Be brief.",)),
    ChatMessage("developer", ()),
    ChatMessage("user", ("", "Größe 🙂\u2028\x00\\\"'", IMAGE, Image(url="https://a.example/b"))),
    ChatMessage(
        "user", (Document("text/plain", "a\r\nb", "c.txt"), Document("application/pdf", "JV"))
    ),
    ChatMessage(
        "assistant", ("Wait.", ToolCall("call_1", "f", '{"a": [1.0]}'), ToolCall("", "old", "{}"))
    ),
    ChatMessage("tool", ("1", IMAGE), "call_1"),
    ChatMessage(
        "assistant",
        (
            *(Thinking("Hm.\n🙂", "c2lnbmVk+/=", "digest"), "Wait.", RedactedThinking("ZGF0YQ==")),
            *(ToolCall("call_1", "f", "{}"), Thinking("", "c2lnbmVk"), ToolCall("2", "g", "{}")),
        ),
    ),
    ChatMessage("function", ("2",), "old"),
    ChatMessage("user", (ToolResult("call_1", ("3", IMAGE)), ToolResult("", ()))),
)
REPLY = Reply("digest", "attempt", "model", Ending.CALLS, Usage(1, 2, 3, 4, 5), 0.1)
IDS = (
    *("a", "A", " ", "a b", "a:b", "*", "?", "%", "%2F", "a%3Ab", "#&=+", "\\", "[a]", "{a}", "0"),
    *("'\"`;--", "ü", "u\u0308", "日本", "🙂", "\u2028", "null", "-1", "x" * 128, "🙂" * 128),
)


class Trial:
    """A store under test, with an owner of its own."""

    def __init__(self, store: SessionStore, advance: Callable[[float], object]):
        self.store = store
        self.advance = advance
        self.owner = f"owner-{uuid.uuid4().hex}"

    def claim(self, id_: str = "one", owner: str = "") -> Claim:
        claim = self.store.claim(owner or self.owner, id_, 0)
        assert claim, f"a claim to {id_!r}, which nobody holds, must succeed at once"
        return claim

    def keep(self, id_: str = "one", *, owner: str = "", created: float = CREATED) -> Session:
        """Save a session in a turn of its own, and return it."""
        session = build_session(owner or self.owner, id_, created=created)
        claim = self.claim(id_, owner)
        claim.save(session)
        claim.release()
        return session

    def use(self, id_: str = "one") -> None:
        self.claim(id_).release()

    def read(self, id_: str = "one") -> Session:
        session = self.store.read(self.owner, id_)
        assert session, f"session {id_!r} must exist"
        return session

    def check_gone(self, id_: str = "one") -> None:
        assert self.store.read(self.owner, id_) is None, (
            "a session that is gone must not be readable"
        )
        assert id_ not in [head.key.id for head in self.store.heads(self.owner)], (
            "a session that is gone must not be listed"
        )
        assert self.store.delete(self.owner, id_) is None, (
            "a session that is gone must not be deletable"
        )
        claim = self.claim(id_)
        assert claim.session is None, "a turn after a session's end must start without a session"
        claim.release()

    def check_same(self, actual: Session, kept: Session) -> None:
        """Check that only the time of use differs."""
        self.check_head(actual.head, kept)
        assert actual.messages == kept.messages, "messages must be kept unchanged"
        self.check_frozen(actual)

    def check_head(self, head: SessionInfo | None, kept: Session) -> None:
        assert head, f"session {kept.head.key.id!r} must exist"
        assert replace(head, used=kept.head.used) == kept.head, "a head must be kept unchanged"
        self.check_frozen(head)

    def check_frozen(self, returned: SessionInfo | Session) -> None:
        try:
            hash(returned)
        except TypeError as error:
            raise AssertionError(f"what a store returns must be immutable: {error}") from None

    def check_refused(self, claim: Claim, session: Session) -> Conflict:
        """Check that saving with the lost *claim* raises Conflict, and return that error."""
        try:
            claim.save(session)
        except Conflict as error:
            return error
        raise AssertionError("saving with a lost claim must raise Conflict")


def build_session(
    owner: str,
    id_: str = "one",
    *,
    created: float = CREATED,
    messages: tuple[ChatMessage, ...] = MESSAGES,
) -> Session:
    """Return a new session with a value in every field."""
    session = new_session(owner, id_, created)
    head = replace(session.head, messages=len(messages), size=1000, turns=3, resumed=2)
    head = replace(head, usage=Usage(5, 4, 3, 2, 1), cost_usd=1 / 3, reply=REPLY)
    head = replace(head, config=ToolConfig(("Read",), ("Bash(rm:*)",), "plan", 3))
    return Session(head, messages)
