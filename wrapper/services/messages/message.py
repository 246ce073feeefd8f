"""Messages as clients send them, and their conversion to a turn's messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from wrapper.services.turn import (
    THINKING,
    Document,
    Image,
    Message,
    Part,
    Reminder,
    ToolCall,
    ToolResult,
)

# The roles of messages that hold the result of a call.
RESULTS = ("tool", "function")


@dataclass(frozen=True)
class ChatMessage:
    """A message as the client sent it: the parts of its content, and then its calls.

    A call in OpenAI's older `function_call` has no id. `answers` names the call whose result the
    message holds: the call's id for the role tool, its name for the role function. `dropped` lists
    the paths of what the client sent and `parts` lacks.
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
    """Return the text of all system messages, or None where there are none."""
    texts = [_text_of(message.parts) for message in messages if is_system(message)]
    return "\n\n".join(text for text in texts if text.strip()) if texts else None


def to_chat_messages(messages: Iterable[Message]) -> Iterator[ChatMessage]:
    """Yield *messages* as a client would send them."""
    for message in messages:
        rest = tuple(part for part in message.parts if not isinstance(part, ToolResult | Reminder))
        for part in message.parts:
            if isinstance(part, ToolResult):
                yield ChatMessage("tool", part.parts, part.id)
        if rest:
            yield ChatMessage(message.role, rest)


def has_calls(messages: Iterable[ChatMessage]) -> bool:
    """Say whether *messages* hold a call of a client's function, or its result."""
    return any(
        message.role in RESULTS
        or any(isinstance(part, (ToolCall, ToolResult)) for part in message.parts)
        for message in messages
    )


def is_system(message: ChatMessage) -> bool:
    return message.role in ("system", "developer")


def is_blank(message: ChatMessage) -> bool:
    """Say whether *message* adds nothing to the conversation. A result always adds something."""
    return not content_of(message)


def loses_blanks(message: ChatMessage, content: tuple[Part, ...]) -> bool:
    """Say whether *message*, which adds *content*, is blank, or loses white space."""
    if not content or content == message.parts:
        return not content
    kept = content[0].parts if isinstance(content[0], ToolResult) else content
    return _text_of(kept) != _text_of(message.parts)


def split_results(message: ChatMessage) -> Iterator[ChatMessage]:
    """Yield each result in *message* as a message of its own, and then the rest of it."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for part in results:
        yield ChatMessage("tool", part.parts, part.id)
    rest = tuple(part for part in message.parts if not isinstance(part, ToolResult))
    if rest or not results:
        yield replace(message, parts=rest) if results else message


def _text_of(parts: Iterable[Part]) -> str:
    return "".join(part for part in parts if isinstance(part, str))


def merge(messages: Iterable[tuple[ChatMessage, tuple[Part, ...]]]) -> Iterator[Message]:
    """Yield messages whose roles alternate, without blank ones. Each comes with its content.

    Results come first in a message, because the API wants them right after their calls.
    """
    filled = [(message.role == "assistant", content) for message, content in messages if content]
    for assistant, group in groupby(filled, key=lambda pair: pair[0]):
        parts = tuple(part for _, more in group for part in more)
        yield Message("assistant" if assistant else "user", parts)


def content_of(message: ChatMessage) -> tuple[Part, ...]:
    """Return the parts that *message* adds to the conversation. A blank message adds none."""
    parts = _glue(_without_idle_thinking(message.parts))
    if message.role not in RESULTS:
        return parts
    result = tuple(part for part in parts if isinstance(part, (str, Image, Document)))
    return (ToolResult(message.answers, result),)


def _without_idle_thinking(parts: tuple[Part, ...]) -> Iterator[Part]:
    """Yield *parts* without the thinking blocks that no call follows: the model needs none."""
    calls = [at for at, part in enumerate(parts) if isinstance(part, ToolCall)]
    for at, part in enumerate(parts):
        if not isinstance(part, THINKING) or (calls and at < calls[-1]):
            yield part


def _glue(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return *parts* with blank texts joined to adjacent texts, so that nothing is lost."""
    glued: list[list[str] | Part] = []
    before: list[str] = []
    for part in parts:
        if not isinstance(part, str):
            glued.append(part)
            before = []
        elif part.strip():
            glued.append([*before, part])
            before = []
        elif glued and isinstance(glued[-1], list):
            glued[-1].append(part)
        else:
            before.append(part)
    return tuple(_joined(each) if isinstance(each, list) else each for each in glued)


def _joined(texts: list[str]) -> str:
    return "".join(texts) if len(texts) > 1 else texts[0]  # which may be more than a str
