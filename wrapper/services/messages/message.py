"""The messages: what a client has sent, and how messages of a turn are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from wrapper.services.turn import Image, Message, Part, Reminder, ToolCall, ToolResult

# These two hold the result of a call, each in its own way.
RESULTS = ("tool", "function")


@dataclass(frozen=True)
class ChatMessage:
    """A message as the client sent it: the parts of its content in order, and then its calls.

    The call of a `function_call`, OpenAI's older way, has no id. `answers` is the call that a
    message holds the result of: for the role tool its id, for the role function its name.
    `dropped` are the paths in it of what the client sent and `parts` do not hold.
    """

    role: str
    parts: tuple[Part, ...]
    answers: str = ""
    dropped: tuple[str, ...] = ()

    @property
    def calls(self) -> list[ToolCall]:
        return [part for part in self.parts if isinstance(part, ToolCall)]


Numbered = tuple[int, ChatMessage]


def system_text(messages: Iterable[ChatMessage]) -> str | None:
    """Return what the system messages say, wherever they stand; None where there are none."""
    texts = [_text_of(message.parts) for message in messages if is_system(message)]
    return "\n\n".join(text for text in texts if text.strip()) if texts else None


def to_chat_messages(messages: Iterable[Message]) -> Iterator[ChatMessage]:
    """Yield *messages* as a client would have sent them."""
    for message in messages:
        rest = tuple(part for part in message.parts if not isinstance(part, ToolResult | Reminder))
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield ChatMessage("tool", part.parts, part.id)
        if rest:
            yield ChatMessage(message.role, rest)


def has_calls(messages: Iterable[ChatMessage]) -> bool:
    """Say whether *messages* hold a call of a function of the client's, or the result of one."""
    return any(
        message.role in RESULTS
        or any(isinstance(part, (ToolCall, ToolResult)) for part in message.parts)
        for message in messages
    )


def is_system(message: ChatMessage) -> bool:
    return message.role in ("system", "developer")


def is_blank(message: ChatMessage) -> bool:
    """Say whether *message* adds nothing to the conversation; a result always does."""
    return not _said(message)


def loses_blanks(message: ChatMessage) -> bool:
    """Say whether *message* adds nothing to the conversation, or less white space than it has."""
    parts = _said(message)
    held = parts[0].parts if parts and isinstance(parts[0], ToolResult) else parts
    return not parts or _text_of(held) != _text_of(message.parts)


def split_results(message: ChatMessage) -> Iterator[ChatMessage]:
    """Yield the results that *message* holds as messages of their own, and then the rest of it."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for part in results:
        yield ChatMessage("tool", part.parts, part.id)
    rest = tuple(part for part in message.parts if not isinstance(part, ToolResult))
    if rest or not results:
        yield replace(message, parts=rest) if results else message


def _text_of(parts: Iterable[Part]) -> str:
    return "".join(part for part in parts if isinstance(part, str))


def merge(messages: Iterable[ChatMessage]) -> Iterator[Message]:
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
    return (ToolResult(message.answers, held),)


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
