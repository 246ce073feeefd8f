"""One turn of a session: the messages before it, and what is stored after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from wrapper.errors import RequestTooLarge
from wrapper.services.events import CallDelta, CallStarted, Ended, Ending, Event, Started, TextDelta
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.message import ChatMessage, has_calls, is_system, to_chat_messages
from wrapper.services.sessions.codec import dump_message, measure
from wrapper.services.sessions.options import NO_OPTIONS, Options
from wrapper.services.sessions.session import Reply, Session
from wrapper.services.sessions.store import Claim
from wrapper.services.spent import sum_usage
from wrapper.services.tools.config import NO_CONFIG, ToolConfig
from wrapper.services.turn import SessionKey, ToolCall

# How many approvals a session remembers, the latest ones.
MOST_APPROVED = 100
# The endings of turns that are stored. A refused turn is not, because with it in the conversation
# the API refuses all further turns.
REMEMBERED = (Ending.DONE, Ending.LENGTH, Ending.CALLS, Ending.BUDGET)


class StatelessTurn:
    """The turn of a request without a session. It has no earlier messages and is not stored."""

    key: SessionKey | None = None
    options = NO_OPTIONS
    config = NO_CONFIG
    before: tuple[ChatMessage, ...] = ()
    repeats = False

    @property
    def approved(self) -> set[str]:
        """Return a new set: nothing outlives the turn."""
        return set()

    def replay(self) -> Iterator[Event]:
        return iter(())


class Replay:
    """The events of an earlier turn, once more."""

    def __init__(self, events: Iterable[Event]):
        self._events = events

    def __iter__(self) -> Iterator[tuple[int, Event] | None]:
        return ((0, event) for event in self._events)

    def close(self) -> Iterable[tuple[int, Event]]:
        return ()


class SessionTurn:
    """Adds *messages* to *session*, which *claim* locks. It must be closed.

    *attempt* is the client's idempotency key, and *again* says that the client may have had the
    answer before. *closed* is called on close. `approved` are digests of the tool uses that are
    approved for the session, which the turn may add to.
    """

    def __init__(
        self,
        claim: Claim,
        session: Session,
        messages: Sequence[ChatMessage],
        *,
        attempt: str = "",
        again: bool = False,
        clock: Callable[[], float],
        closed: Callable[[], None] = lambda: None,
    ):
        self._claim = claim
        self._closed = closed
        self._session = session
        self._messages = tuple(messages)
        self._asked = _digest(messages)
        self._attempt = attempt
        self._clock = clock
        self.approved = set(session.head.approved)
        reply = session.head.reply
        same = reply is not None and (reply.asked, reply.attempt) == (self._asked, attempt)
        self.repeats = same and bool(again or attempt)
        if same and not self.repeats:
            self._forget_reply()

    @property
    def key(self) -> SessionKey:
        return self._session.head.key

    @property
    def before(self) -> tuple[ChatMessage, ...]:
        """Return the earlier messages. New system messages replace the earlier ones."""
        known = self._session.messages
        if any(map(is_system, self._messages)):
            return tuple(message for message in known if not is_system(message))
        return known

    @property
    def options(self) -> Options:
        """Return the session's options. Calls of the client's functions keep it plain."""
        options = self._session.head.options
        if options.profile is None and has_calls(self._session.messages):
            return replace(options, profile="plain")
        return options

    @property
    def config(self) -> ToolConfig:
        """Return what limits the session's agents."""
        return self._session.head.config or NO_CONFIG

    def check(self, max_bytes: int) -> None:
        """Raise RequestTooLarge where the session would hold more than *max_bytes*."""
        size = self._size()
        if size > max_bytes and not self.repeats:
            raise RequestTooLarge(
                f"The session would come to {size} bytes, more than the {max_bytes} that one "
                "may have (SESSION_MAX_BYTES). Begin another one, with a summary of this one.",
                param="session_id",
                code="session_too_large",
            )

    def remember(
        self, answer: Answer, *, legacy: bool = False, options: Options = NO_OPTIONS
    ) -> None:
        """Store the messages, their *answer* and *options*, if turns that end so are stored.

        Raises Conflict or Unavailable where they cannot be stored.
        """
        ended = answer.ended
        if ended is None or ended.ending not in REMEMBERED:
            return
        head = self._session.head
        reply = answer.message(legacy=legacy)
        messages, size = self._messages_up_to(answer), self._size() + measure(reply)
        if answer.compacted:
            size = _measure((*messages, reply))
        head = replace(
            head,
            used=self._clock(),
            turns=head.turns + 1,
            resumed=head.resumed + answer.resumed,
            usage=sum_usage((head.usage, ended.usage)),
            cost_usd=head.cost_usd + (ended.cost_usd or 0.0),
            reply=Reply(
                self._asked,
                self._attempt,
                answer.model,
                ended.ending,
                ended.usage,
                ended.cost_usd,
            ),
        )
        head = replace(head, messages=len(messages) + 1, size=size, options=self._kept(options))
        head = replace(head, approved=self._approved())
        self._claim.save(Session(head, (*messages, reply)))

    def _approved(self) -> tuple[str, ...]:
        before = self._session.head.approved
        added = sorted(self.approved.difference(before))
        return (*before, *added)[-MOST_APPROVED:]

    def _kept(self, options: Options) -> Options:
        """Return the session's options after a turn with *options*."""
        head = self._session.head
        return head.options.after(options) if head.turns else options

    def _messages_up_to(self, answer: Answer) -> tuple[ChatMessage, ...]:
        """Return all messages before *answer*, or their summary if the turn made one."""
        messages = (*self.before, *self._messages)
        if not answer.compacted:
            return messages
        return (*filter(is_system, messages), *to_chat_messages(answer.compacted))

    def replay(self) -> Iterator[Event]:
        """Yield the events of the stored turn that the client repeats."""
        reply = self._session.head.reply
        assert reply is not None  # noqa: S101 - only what repeats is replayed
        parts = self._session.messages[-1].parts
        yield Started(reply.model)
        for text in (part for part in parts if isinstance(part, str)):
            yield TextDelta(text)
        for index, call in enumerate(part for part in parts if isinstance(part, ToolCall)):
            yield CallStarted(index, call.id, call.name)
            yield CallDelta(index, call.arguments)
        yield Ended(reply.ending, reply.usage, reply.cost_usd)

    def _size(self) -> int:
        """Return the bytes of the earlier messages and the new ones."""
        before, head = self.before, self._session.head
        whole = len(before) == head.messages  # otherwise they are measured again, which is slower
        return (head.size if whole else _measure(before)) + _measure(self._messages)

    def _forget_reply(self) -> None:
        """Drop the reply of an equal request before this one.

        Otherwise, if this turn fails and the client repeats it, it would get that older reply.
        """
        self._session = replace(self._session, head=replace(self._session.head, reply=None))
        self._claim.save(self._session)

    def close(self) -> None:
        try:
            self._closed()
        finally:
            self._claim.release()


def _measure(messages: Sequence[ChatMessage]) -> int:
    return sum(map(measure, messages))


def _digest(messages: Sequence[ChatMessage]) -> str:
    return hashlib.sha256(json.dumps([*map(dump_message, messages)]).encode()).hexdigest()
