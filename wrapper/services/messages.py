"""The messages: those that a client has sent, held against each other and made into a turn's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from wrapper.errors import InvalidRequest
from wrapper.services.turn import Call, Image, Message, Part, Reminder, Result

BLANK = "must hold more than white space: the model's API takes no blank text"
LAST = (
    "the last message must be the user's, or the result of a call, to be answered; with "
    "claude.prefill the model goes on from it, if it can"
)
PREFILLED = "what the model is to go on from must be text, and not end with white space"
ORPHAN = (
    "a message of this role must be a response to a call of the assistant's message before it, "
    "and the only one to that call"
)
# These two hold the result of a call, each in its own way.
RESULTS = ("tool", "function")
# What stands before the ids of calls that came without one.
OWN_ID = "function_call_"


@dataclass(frozen=True)
class ChatMessage:
    """A message as the client sent it: the parts of its content in order, and then its calls.

    The call of a `function_call`, OpenAI's older way, has no id. `answers` is the call that a
    message holds the result of: for the role tool its id, for the role function its name.
    """

    role: str
    parts: tuple[Part, ...]
    answers: str = ""


Numbered = tuple[int, ChatMessage]


def system_text(messages: Iterable[ChatMessage]) -> str | None:
    """Return what the system messages say, wherever they stand; None where there are none."""
    texts = ["".join(_texts(m)) for m in messages if is_system(m)]
    return "\n\n".join(text for text in texts if text.strip()) if texts else None


def spoken_messages(
    messages: Iterable[ChatMessage], *, prefill: bool = False, known: int = 0
) -> tuple[Message, ...]:
    """Return what user and assistant said, in turns. No call, result or letter is lost.

    With *prefill* the assistant's may be the last message, from which the model goes on. The first
    *known* messages were said before the request. Raises InvalidRequest where the conversation is
    one that the model's API refuses.
    """
    numbered = enumerate(messages, -known)
    spoken = list(_name_calls((i, m) for i, m in numbered if not is_system(m)))
    _check_pairs(spoken)
    _check_ends(spoken, prefill)
    return tuple(_merge(message for _, message in spoken))


def unspoken(messages: Iterable[Message]) -> Iterator[ChatMessage]:
    """Yield *messages* as a client would have sent them."""
    for message in messages:
        rest = tuple(part for part in message.parts if not isinstance(part, Result | Reminder))
        for part in message.parts:
            if isinstance(part, Result):
                yield ChatMessage("tool", part.parts, part.id)
        if rest:
            yield ChatMessage(message.role, rest)


def has_calls(messages: Iterable[ChatMessage]) -> bool:
    """Say whether *messages* hold a call of a function of the client's, or the result of one."""
    return any(
        message.role in RESULTS or any(isinstance(part, (Call, Result)) for part in message.parts)
        for message in messages
    )


def is_system(message: ChatMessage) -> bool:
    return message.role in ("system", "developer")


def _texts(message: ChatMessage) -> list[str]:
    return [part for part in message.parts if isinstance(part, str)]


def _calls(message: ChatMessage) -> list[Call]:
    return [part for part in message.parts if isinstance(part, Call)]


def _name_calls(messages: Iterable[Numbered]) -> Iterator[Numbered]:
    """Yield *messages* with ids for the calls that have none, and for what answers them."""
    ids: dict[str, str] = {}
    for nth, (index, message) in enumerate(messages):
        if message.role == "function":
            message = replace(message, answers=ids.get(message.answers, ""))
        elif message.role == "assistant":
            ids = {call.name: f"{OWN_ID}{nth}" for call in _calls(message) if not call.id}
            named = tuple(
                replace(part, id=part.id or f"{OWN_ID}{nth}") if isinstance(part, Call) else part
                for part in message.parts
            )
            message = replace(message, parts=named)
        yield index, message


def _check_pairs(messages: Iterable[Numbered]) -> None:
    """Raise InvalidRequest unless each call is answered once, by the messages right after it."""
    asked = 0
    waiting: list[str] = []
    seen: set[str] = set()
    for index, message in messages:
        if message.role in RESULTS:
            if message.answers not in waiting:
                key = "tool_call_id" if message.role == "tool" else "name"
                raise _refuse(index, key, ORPHAN)
            waiting.remove(message.answers)
            continue
        _check_answered(asked, waiting)
        asked, waiting = index, [call.id for call in _calls(message)]
        for nth, call_id in enumerate(waiting):
            if call_id in seen:
                why = "another call of the conversation has this id"
                raise _refuse(index, f"tool_calls.{nth}.id", why)
            seen.add(call_id)
    _check_answered(asked, waiting)


def _check_answered(asked: int, waiting: Sequence[str]) -> None:
    if waiting:
        key = "function_call" if waiting[-1].startswith(OWN_ID) else "tool_calls"
        missing = ", ".join(call_id[:100] for call_id in waiting)
        why = "each call must be followed by a message with its result, which is missing for"
        raise _refuse(asked, key, f"{why} {missing}")


def _check_ends(spoken: Sequence[Numbered], prefill: bool) -> None:
    if not spoken:
        raise InvalidRequest("messages must hold a user message", param="messages")
    (start, first), (end, last) = spoken[0], spoken[-1]
    if first.role == "assistant":
        raise _refuse(start, "role", "the first message must be the user's")
    if last.role == "assistant" and not prefill:
        raise _refuse(end, "role", LAST)
    text = "".join(_texts(last))
    if last.role == "assistant" and (_calls(last) or text != text.rstrip()):
        raise _refuse(end, "content", PREFILLED)
    if not _said(last):
        raise _refuse(end, "content", BLANK)
    if next(m.role for _, m in spoken if _said(m)) == "assistant":
        raise _refuse(start, "content", BLANK)


def _refuse(index: int, key: str, why: str) -> InvalidRequest:
    if index < 0:  # what was said before is none of the request's messages
        text = f"messages: in the session, {why}"
        return InvalidRequest(text, param="messages", code="invalid_value")
    param = f"messages.{index}.{key}"
    return InvalidRequest(f"{param}: {why}", param=param, code="invalid_value")


def _merge(messages: Iterable[ChatMessage]) -> Iterator[Message]:
    """Yield messages whose roles alternate; blank ones, which say nothing, are left out.

    Results come first in theirs, as the API wants it: they follow their calls at once.
    """
    said = [(message.role == "assistant", _said(message)) for message in messages]
    filled = (pair for pair in said if pair[1])
    for assistant, group in groupby(filled, key=lambda pair: pair[0]):
        parts = tuple(part for _, more in group for part in more)
        yield Message("assistant" if assistant else "user", parts)


def _said(message: ChatMessage) -> tuple[Part, ...]:
    """Return the parts that *message* adds to the conversation; a blank one adds none."""
    parts = _glue(message.parts)
    if message.role not in RESULTS:
        return parts
    held = tuple(part for part in parts if isinstance(part, (str, Image)))
    return (Result(message.answers, held),)


def _glue(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return *parts* with blank texts joined to a text beside them, so that no letter is lost."""
    glued: list[Part] = []
    before = ""
    for part in parts:
        if not isinstance(part, str):
            glued.append(part)
            before = ""
        elif part.strip():
            glued.append(before + part)
            before = ""
        elif glued and isinstance(glued[-1], str):
            glued[-1] += part
        else:
            before += part
    return tuple(glued)
