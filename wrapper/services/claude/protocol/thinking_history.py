"""Thinking blocks of the history: which of them the model's API takes back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from wrapper.services.claude.protocol.content_blocks import blocks_of, tools_of
from wrapper.services.claude.protocol.frames import thinking_budget
from wrapper.services.turn import THINKING, Message, ToolResult, Turn


def with_valid_thinking(turn: Turn) -> Turn:
    """Return *turn* with the thinking blocks only that the API takes back.

    It takes none where the model does not think. A model with a thinking budget thinks in the
    middle of a tool loop only if the loop begins with thinking; if that is lost, it does not think.
    """
    has_thinking = _has_thinking(turn.messages)
    if not has_thinking and not _loses_thinking(turn.messages):
        return turn
    messages = turn.messages
    if has_thinking and turn.profile == "agent":
        messages = without_thinking(messages)
    elif has_thinking:
        messages = tuple(_valid(turn))
    if thinking_budget(turn) != 0 and turn.thinking == "budget" and _loses_thinking(messages):
        turn = replace(turn, sampling=replace(turn.sampling, effort="none"))
    if thinking_budget(turn) == 0 and turn.thinking != "always":
        messages = without_thinking(messages)
    return turn if messages == turn.messages else replace(turn, messages=messages)


def without_thinking(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return *messages* without any thinking blocks, which never are a whole message."""
    return tuple(_without_thinking(m) if _has_thinking((m,)) else m for m in messages)


def prefix_of(turn: Turn) -> str:
    """Return the digest for the thinking blocks of the answer to *turn*; see Thinking.

    It is empty for an agent: Claude Code leaves thinking out of the history that it is given.
    """
    if turn.profile == "agent":
        return ""
    prefix = _Prefix(turn)
    for message in turn.messages:
        prefix.add(message)
    return prefix.digest()


class _Prefix:
    """The digest of the model and of what comes before a message: instructions, tools, messages.

    A model with a thinking budget takes its blocks back whatever comes before them.
    """

    def __init__(self, turn: Turn):
        self._is_bound = turn.thinking != "budget"
        self._hash = hashlib.sha256(turn.model.encode())
        if self._is_bound:
            self._update([turn.system, turn.appends, tools_of(turn).get("tools")])

    def add(self, message: Message) -> None:
        if self._is_bound:
            self._update([message.role, blocks_of(message)])

    def digest(self) -> str:
        return self._hash.hexdigest()

    def _update(self, value: Any) -> None:
        self._hash.update(json.dumps(value).encode())


def _valid(turn: Turn) -> Iterator[Message]:
    """Yield the messages, without those thinking blocks that came after another prefix."""
    prefix = _Prefix(turn)
    for message in turn.messages:
        if _has_thinking((message,)):
            digest = prefix.digest()
            parts = (p for p in message.parts if not isinstance(p, THINKING) or p.prefix == digest)
            message = replace(message, parts=tuple(parts))
        prefix.add(message)
        yield message


def _has_thinking(messages: Iterable[Message]) -> bool:
    return any(isinstance(part, THINKING) for message in messages for part in message.parts)


def _without_thinking(message: Message) -> Message:
    return replace(message, parts=tuple(p for p in message.parts if not isinstance(p, THINKING)))


def _loses_thinking(messages: Sequence[Message]) -> bool:
    """Say whether the last message is part of a tool loop that does not begin with thinking."""
    at = len(messages) - 1
    while at > 0 and any(isinstance(part, ToolResult) for part in messages[at].parts):
        at -= 2
    is_loop = at < len(messages) - 1
    return is_loop and not isinstance(messages[at + 1].parts[0], THINKING)
