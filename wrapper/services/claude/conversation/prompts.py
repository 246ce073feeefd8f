"""The permission prompts of a turn that its owner decides, while the turn's messages are read."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from wrapper.services.approvals.approval import Approver, Decision
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.protocol.frames import Frame
from wrapper.services.claude.protocol.permission_prompt import answer_of, tool_request

FAILED = Decision("denied", reason="The gateway failed; its log says why.")

log = logging.getLogger(__name__)


class Prompts:
    """Asks *approver*, each time in a task of its own, and answers over *transport*."""

    def __init__(self, approver: Approver | None, transport: ProcessTransport):
        self._approver = approver
        self._transport = transport
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, frame: Frame) -> None:
        """Ask for a decision on the permission request *frame*."""
        if self._approver:
            id_ = str(frame["request_id"])
            task = self._tasks[id_] = asyncio.create_task(self._ask(self._approver, frame))
            task.add_done_callback(lambda _: self._tasks.pop(id_, None))

    def end(self, frame: Frame) -> None:
        """Withdraw the request that Claude Code cancels with *frame*."""
        if task := self._tasks.get(str(frame["request_id"])):
            task.cancel()

    async def close(self) -> None:
        """Withdraw all requests that still wait."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._approver:
            await self._approver.close()

    async def _ask(self, approver: Approver, frame: Frame) -> None:
        try:
            decision = await approver.ask(tool_request(frame))
        except Exception:
            log.exception("an approval could not be asked for")
            decision = FAILED
        with suppress(OSError):  # the process has ended
            await self._transport.answer(answer_of(frame, decision))
