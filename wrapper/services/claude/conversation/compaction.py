"""The compaction: a conversation that has become too long, summarised by Claude Code."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Any

from claude_code_sdk import SystemMessage, UserMessage

from wrapper.errors import ContextLengthExceeded
from wrapper.services.claude.conversation.query import ask, understood
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.mcp_server import FunctionServer
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Compacted, Event, Used
from wrapper.services.turn import Message, ToolResult, Turn


class Compaction:
    """Summarises what was said before *turn*'s last message, on a process of its own."""

    def __init__(self, process: Process, turn: Turn, ignored: Counter[str]):
        self.process = process
        self._head, self._tail = _split(turn.messages)
        self._summary = ""
        self._kept: list[int] = []
        self._transport = ProcessTransport(
            process,
            frames.compaction_configuration(turn),
            _named(frames.history_of(self._head)),
            ignored,
            FunctionServer(()),
        )

    async def events(self, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield what it has used, and last the shorter conversation.

        Raises ContextLengthExceeded where it cannot be shortened.
        """
        if not self._head:
            raise ContextLengthExceeded(
                "There is nothing before the last message that could be summarised.",
                param="messages",
            )
        with understood():
            async with aclosing(self._events(leaving)) as events:
                async for event in events:
                    yield event

    async def _events(self, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        watch = asyncio.create_task(self._abandon(leaving))
        try:
            async with aclosing(ask(self._transport, frames.command("/compact"))) as messages:
                async for message in messages:
                    self._read(message)
        finally:
            watch.cancel()
        result = self._transport.result
        if (used := UsageCounter().used(result)).spent:
            yield Used(used.spent, 1)
        if not self._summary:
            why = str((result or {}).get("result") or "it ended")[:300]
            raise ContextLengthExceeded(
                f"Claude Code could not summarise the conversation: {why}", param="messages"
            )
        kept = [self._head[index] for index in sorted(self._kept)]
        yield Compacted(_join([Message("user", (self._summary,)), *kept, *self._tail]))

    async def _abandon(self, leaving: asyncio.Event) -> None:
        await leaving.wait()
        with suppress(OSError):
            await self._transport.interrupt()

    def _read(self, message: Any) -> None:
        if isinstance(message, SystemMessage) and message.subtype == "compact_boundary":
            about = message.data.get("compact_metadata") or {}
            names = (about.get("preserved_messages") or {}).get("uuids") or ()
            self._kept = [index for name in names if (index := _index(name)) is not None]
            self._summary = "expected"
        elif isinstance(message, UserMessage) and self._summary == "expected":
            self._summary = _text(message.content)


def _split(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return what can be summarised, and what must stay: results stay with their calls."""
    answers = any(isinstance(part, ToolResult) for part in messages[-1].parts)
    at = len(messages) - (2 if answers else 1)
    return messages[:at], messages[at:]


def _named(history: Iterator[tuple[frames.Frame, bool]]) -> Iterator[tuple[frames.Frame, bool]]:
    """Yield *history* with names by which Claude Code tells which of it stays as it is."""
    for index, (frame, answered) in enumerate(history):
        yield {**frame, "uuid": f"{_NAME}{index:012d}"}, answered


_NAME = "00000000-0000-4000-8000-"


def _index(name: str) -> int | None:
    return int(name[len(_NAME) :]) if name.startswith(_NAME) else None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(getattr(block, "text", "") for block in content)


def _join(messages: list[Message]) -> tuple[Message, ...]:
    """Return *messages* with those of one side after another put together."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = Message(message.role, (*joined[-1].parts, *message.parts))
        else:
            joined.append(message)
    return tuple(joined)
