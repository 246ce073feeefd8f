"""The visit: one turn of a session, from what was said before to what is remembered of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from wrapper.errors import RequestTooLarge
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Event,
    Started,
    TextDelta,
    sum_usage,
)
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.message import ChatMessage, has_calls, is_system, unspoken
from wrapper.services.sessions.codec import dump_message, measure
from wrapper.services.sessions.options import NO_OPTIONS, Options
from wrapper.services.sessions.session import Reply, Session
from wrapper.services.sessions.store import Claim
from wrapper.services.turn import SessionKey, ToolCall

# What is remembered. The API wants a refused turn out of the conversation, or refuses all others.
REMEMBERED = (Ending.DONE, Ending.LENGTH, Ending.CALLS, Ending.BUDGET)


class StatelessTurn:
    """The turn of a request without a session: nothing was said before, nothing is remembered."""

    key: SessionKey | None = None
    options = NO_OPTIONS
    before: tuple[ChatMessage, ...] = ()
    repeats = False

    def remember(
        self, answer: Answer, *, legacy: bool = False, options: Options = NO_OPTIONS
    ) -> None:
        """There is nothing to remember it in."""

    def replay(self) -> Iterator[Event]:
        return iter(())


class Replay:
    """The events of one turn told once more."""

    def __init__(self, events: Iterable[Event]):
        self._events = events

    def __iter__(self) -> Iterator[tuple[int, Event] | None]:
        return ((0, event) for event in self._events)

    def close(self) -> Iterable[tuple[int, Event]]:
        return ()


class SessionTurn:
    """Brings *messages* into the session that *claim* is of, *session* where it is a new one.

    *attempt* is the client's own name of its request, and *again* says that it may have been
    answered before. It must be closed, of which *closed* is told.
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
        """Return what was said before. New system messages take the place of those there were."""
        known = self._session.messages
        if any(map(is_system, self._messages)):
            return tuple(message for message in known if not is_system(message))
        return known

    @property
    def options(self) -> Options:
        """Return what the session's requests have set. Calls of the client's keep it plain."""
        options = self._session.head.options
        if options.profile is None and has_calls(self._session.messages):
            return replace(options, profile="plain")
        return options

    def check(self, most: int) -> None:
        """Raise RequestTooLarge where the session would come to hold more than *most* bytes."""
        size = self._size()
        if size > most and not self.repeats:
            raise RequestTooLarge(
                f"The session would come to {size} bytes, more than the {most} that one may have "
                "(SESSION_MAX_BYTES). Begin another one, with a summary of this one.",
                param="session_id",
                code="session_too_large",
            )

    def remember(
        self, answer: Answer, *, legacy: bool = False, options: Options = NO_OPTIONS
    ) -> None:
        """Remember the messages, their *answer* and *options*, unless the turn is to be left out.

        Raises Conflict or Unavailable where that cannot be.
        """
        ended = answer.ended
        if ended is None or ended.ending not in REMEMBERED:
            return
        head = self._session.head
        reply = answer.message(legacy=legacy)
        said, size = self._said(answer), self._size() + measure(reply)
        if answer.compacted:
            size = _measure((*said, reply))
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
        head = replace(head, messages=len(said) + 1, size=size, options=self._kept(options))
        self._claim.save(Session(head, (*said, reply)))

    def _kept(self, options: Options) -> Options:
        """Return the session's options after a turn with *options*."""
        head = self._session.head
        return head.options.after(options) if head.turns else options

    def _said(self, answer: Answer) -> tuple[ChatMessage, ...]:
        """Return what was said up to *answer*; where it was summarised, that is the summary."""
        said = (*self.before, *self._messages)
        if not answer.compacted:
            return said
        return (*filter(is_system, said), *unspoken(answer.compacted))

    def replay(self) -> Iterator[Event]:
        """Yield the events of the turn that was remembered, which the client asks for again."""
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
        """Return the bytes of what was said before and is said now."""
        before, head = self.before, self._session.head
        whole = len(before) == head.messages  # else it is counted anew, which takes longer
        return (head.size if whole else _measure(before)) + _measure(self._messages)

    def _forget_reply(self) -> None:
        """Forget that the turn before asked just the same, so that when this one fails, and is
        asked for again, it is not told what the one before was answered."""
        self._session = replace(self._session, head=replace(self._session.head, reply=None))
        self._claim.save(self._session)

    def close(self) -> None:
        self._closed()
        self._claim.release()


def _measure(messages: Sequence[ChatMessage]) -> int:
    return sum(map(measure, messages))


def _digest(messages: Sequence[ChatMessage]) -> str:
    return hashlib.sha256(json.dumps([*map(dump_message, messages)]).encode()).hexdigest()
