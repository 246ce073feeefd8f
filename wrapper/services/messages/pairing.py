"""Pair calls with results, so that each call of a conversation is answered once, right after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from wrapper.services.messages.changes import Changes
from wrapper.services.messages.message import RESULTS, ChatMessage, Numbered
from wrapper.services.messages.past_call import UNKNOWN, accepted_call
from wrapper.services.turn import Part, ToolCall

# The prefix of the ids of calls that came without one.
OWN_ID = "function_call_"
# The id of calls that came with an empty id, which their results name, too.
WITHOUT_ID = "call_without_id"
NO_RESULT = "(The application sent no result for this call.)"
_ORPHAN = "must be the only response to a call of the assistant's before it"
_LATE = "must follow the assistant's message with its call, with only other results between them"
_MISSING = "each call must be followed by a message with its result, which is missing for"
_NO_ID = "must not be empty"
_SAME_ID = "another call of the conversation has this id"


@dataclass
class _Entry:
    """A message, the results of its calls, and the ids of calls without a result yet."""

    index: int
    message: ChatMessage
    results: list[Numbered] = field(default_factory=list)
    waiting: dict[str, None] = field(default_factory=dict)


def pair(messages: Iterable[Numbered], changes: Changes) -> Iterator[Numbered]:
    """Yield *messages* with every call answered once, by the messages right after it.

    A result moves behind its call. A text stands in for a missing result, and a result without a
    call gets a call. Ids become unique. No text is lost.
    """
    pairs = _Pairs(changes)
    for nth, (index, message) in enumerate(messages):
        if message.role in RESULTS:
            pairs.answer(index, message)
        else:
            pairs.add(nth, index, message)
    return pairs.messages()


class _Pairs:
    def __init__(self, changes: Changes):
        self._changes = changes
        self._entries: list[_Entry] = []
        self._ids: set[str] = set()
        # The last number that was given to an id, so that no search begins anew.
        self._numbers: dict[str, int] = {}
        # The keys of both are the result's role, and the id or function that it names.
        self._open: dict[tuple[str, str], list[tuple[_Entry, ToolCall]]] = {}
        self._closed: dict[tuple[str, str], tuple[ToolCall, tuple[Part, ...]]] = {}

    def add(self, nth: int, index: int, message: ChatMessage) -> None:
        """Add the *nth* message of the conversation, which is not a result."""
        entry = _Entry(index, message)
        parts: list[Part] = []
        opened: list[tuple[tuple[str, str], ToolCall]] = []
        number = 0
        for part in message.parts:
            if isinstance(part, ToolCall):
                key = f"tool_calls.{number}" if part.id else "function_call"
                number += bool(part.id)
                call = accepted_call(part, index, key, self._changes)
                call = replace(call, id=self._id(call.id or f"{OWN_ID}{nth}"))
                if part.id == WITHOUT_ID:
                    self._changes.note(index, f"{key}.id", _NO_ID)
                elif part.id and call.id != part.id:
                    self._changes.note(index, f"{key}.id", _SAME_ID)
                opened.append((_key_of(part), call))
                part = call
            parts.append(part)
        if opened:
            entry.message = replace(message, parts=tuple(parts))
        for key_of, call in reversed(opened):  # of calls with one id the first is answered first
            self._open.setdefault(key_of, []).append((entry, call))
        entry.waiting = {call.id: None for _, call in opened}
        self._entries.append(entry)

    def answer(self, index: int, message: ChatMessage) -> None:
        """Add a result."""
        key = (message.role, message.answers)
        path = "name" if message.role == "function" else "tool_call_id"
        if waiting := self._open.get(key):
            entry, call = waiting.pop()
            if entry is not self._entries[-1]:
                self._changes.note(index, path, _LATE)
            self._close(key, entry, call, (index, message))
            return
        self._changes.note(index, path, _ORPHAN)
        closed = self._closed.get(key)
        if closed is None or closed[1] != message.parts:
            self._restore(key, closed[0] if closed else None, index, message)

    def messages(self) -> Iterator[Numbered]:
        for entry in self._entries:
            yield entry.index, entry.message
            yield from entry.results
            yield from self._missing(entry)

    def _restore(
        self, key: tuple[str, str], call: ToolCall | None, index: int, message: ChatMessage
    ) -> None:
        """Add a result with a call: a copy of its call, or a call that has only a name."""
        name = message.answers if message.role == "function" else UNKNOWN
        call = call or accepted_call(ToolCall("", name, "{}"), index, "", Changes())
        call = replace(call, id=self._id(message.answers if message.role == "tool" else OWN_ID))
        entry = _Entry(index, ChatMessage("assistant", (call,)), waiting={call.id: None})
        self._entries.append(entry)
        self._close(key, entry, call, (index, message))

    def _close(self, key: tuple[str, str], entry: _Entry, call: ToolCall, result: Numbered) -> None:
        index, message = result
        entry.results.append((index, replace(message, answers=call.id)))
        del entry.waiting[call.id]
        self._closed[key] = call, message.parts

    def _missing(self, entry: _Entry) -> Sequence[Numbered]:
        """Return results that stand in for the missing ones."""
        if not entry.waiting:
            return ()
        last = next(reversed(entry.waiting))
        key = "function_call" if last.startswith(OWN_ID) else "tool_calls"
        missing = ", ".join(call_id[:100] for call_id in entry.waiting)
        self._changes.note(entry.index, key, f"{_MISSING} {missing}", mendable=True)
        return [(entry.index, ChatMessage("tool", (NO_RESULT,), id_)) for id_ in entry.waiting]

    def _id(self, wanted: str) -> str:
        """Return *wanted*, or a new id where a call already has that one."""
        call_id, number = wanted, self._numbers.get(wanted, 1)
        while call_id in self._ids:
            number += 1
            call_id = f"{wanted}_{number}"
        self._ids.add(call_id)
        self._numbers[wanted] = number
        return call_id


def _key_of(call: ToolCall) -> tuple[str, str]:
    return ("tool", call.id) if call.id else ("function", call.name)
