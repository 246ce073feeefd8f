"""Let Claude Code summarise a conversation that has become too long."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Any

from claude_code_sdk import SystemMessage, UserMessage

from wrapper.errors import BadGateway, ContextLengthExceeded
from wrapper.services.claude.conversation.query import ask, understood
from wrapper.services.claude.conversation.setup import Setup
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.history import history_of
from wrapper.services.claude.protocol.thinking_history import without_thinking
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Compacted, Event, Used
from wrapper.services.turn import Message, ToolResult, Turn

UUID_PREFIX = "00000000-0000-4000-8000-"


class Compaction:
    """Summarises the messages before *turn*'s last one, on a process of its own."""

    def __init__(self, process: Process, turn: Turn, ignored: Counter[str]):
        self._head, self._tail = _split(turn.messages)
        # The summary follows its announcement.
        self._announced = False
        self._summary = ""
        self._kept: list[int] = []
        history = _add_uuids(history_of(without_thinking(self._head)))
        self._setup = Setup(
            frames.compaction_configuration(turn), history, frames.command("/compact")
        )
        self._transport = ProcessTransport(process, self._setup, ignored)

    async def events(self, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the usage, and last the shorter conversation.

        Raises ContextLengthExceeded if it cannot be made shorter, and BadGateway if the process
        ends before.
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
        interrupting = asyncio.create_task(self._interrupt_when(leaving))
        try:
            async with aclosing(ask(self._transport)) as messages:
                async for message in messages:
                    self._read(message)
        finally:
            interrupting.cancel()
        result = self._transport.result
        if result is None:
            what = "Claude Code's process ended while it summarised the conversation."
            raise BadGateway(what, retry=False)
        if (used := UsageCounter().used(result)).spent:
            yield Used(used.spent, 1)
        if not self._summary:
            reason = str(result.get("result") or "it gave no summary")[:300]
            raise ContextLengthExceeded(
                f"Claude Code could not summarise the conversation: {reason}", param="messages"
            )
        kept = [self._head[index] for index in sorted(self._kept)]
        yield Compacted(_join([Message("user", (self._summary,)), *kept, *self._tail]))

    async def _interrupt_when(self, leaving: asyncio.Event) -> None:
        await leaving.wait()
        with suppress(OSError):
            await self._transport.interrupt()

    def _read(self, message: Any) -> None:
        if isinstance(message, SystemMessage) and message.subtype == "compact_boundary":
            metadata = message.data.get("compact_metadata") or {}
            uuids = (metadata.get("preserved_messages") or {}).get("uuids") or ()
            self._kept = [index for uuid in uuids if (index := _index(uuid)) is not None]
            self._announced = True
        elif isinstance(message, UserMessage) and self._announced and not self._summary:
            self._summary = _text(message.content)


def _split(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return what can be summarised, and what must stay: tool results stay with their calls."""
    has_results = any(isinstance(part, ToolResult) for part in messages[-1].parts)
    at = len(messages) - (2 if has_results else 1)
    return messages[:at], messages[at:]


def _add_uuids(history: Iterator[tuple[frames.Frame, bool]]) -> Iterator[tuple[frames.Frame, bool]]:
    """Yield *history* with UUIDs, by which Claude Code says which messages it keeps."""
    for index, (frame, answered) in enumerate(history):
        yield {**frame, "uuid": f"{UUID_PREFIX}{index:012d}"}, answered


def _index(uuid: str) -> int | None:
    return int(uuid[len(UUID_PREFIX) :]) if uuid.startswith(UUID_PREFIX) else None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(getattr(block, "text", "") for block in content)


def _join(messages: list[Message]) -> tuple[Message, ...]:
    """Return *messages*, with neighbours of the same role joined into one."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = Message(message.role, (*joined[-1].parts, *message.parts))
        else:
            joined.append(message)
    return tuple(joined)
