"""One turn on one process, run by the SDK."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import Any

from claude_code_sdk import AssistantMessage, SystemMessage
from claude_code_sdk.types import StreamEvent

from wrapper.errors import BadGateway
from wrapper.logs.redaction import Redacted
from wrapper.services.claude.conversation.first_event import FirstEventWait
from wrapper.services.claude.conversation.hooks import TurnHooks
from wrapper.services.claude.conversation.outcome import Outcome
from wrapper.services.claude.conversation.parsers import make_parser
from wrapper.services.claude.conversation.prompts import Prompts
from wrapper.services.claude.conversation.query import ask, understood
from wrapper.services.claude.conversation.reports import Reports
from wrapper.services.claude.conversation.setup import set_up
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.errors.engine_errors import (
    BROKEN_OFF,
    LONGEST_WAIT,
    error_of_retry,
    tells_why,
)
from wrapper.services.claude.errors.no_first_event import Silence
from wrapper.services.claude.processes.leasing import Lease
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.claude.protocol import rate_limit_event
from wrapper.services.claude.protocol.content_blocks import names_of
from wrapper.services.claude.protocol.mcp_connection import Record
from wrapper.services.claude.protocol.mcp_server import mcp_functions
from wrapper.services.claude.protocol.permission_prompt import PROMPT, PROMPT_OVER
from wrapper.services.events import Event, LimitsReported, Started
from wrapper.services.turn import Turn

# Once the answer is complete its result comes in a few milliseconds, or never.
RESULT_SECONDS = 2.0

log = logging.getLogger(__name__)


class Conversation:
    """Runs *turn* on the process of its *lease*.

    *sending* is called when Claude Code is about to send a request to the model. *ignored* counts
    the frames that nothing here understands. *record* gets what is found of the turn's MCP servers.
    """

    def __init__(
        self,
        lease: Lease,
        turn: Turn,
        ignored: Counter[str],
        sending: Callable[[], None] = lambda: None,
        record: Record = lambda server, finding: None,
    ):
        self._process = lease.process
        self._turn = turn
        self._sending = sending
        self._setup = set_up(lease, turn, record)
        self._transport = ProcessTransport(lease.process, self._setup, ignored)
        self._prompts = Prompts(turn.approver, self._transport)
        self._parser = make_parser(turn, lease.state)
        self._hooks = TurnHooks(turn, self._parser, lease.process.profile.additions)
        self._outcome = Outcome(turn, self._setup.state)
        self._reports = Reports(time.time)

    @property
    def configured(self) -> float:
        """Return when the process was set up, on the monotonic clock."""
        return self._transport.configured

    def state(self) -> ProcessState | None:
        """Return the process's state after the turn, None if no other turn may run on it."""
        interrupted = self._transport.interrupted
        return self._outcome.state(self._transport.result, interrupted=interrupted)

    async def events(self, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events, the last of them Ended, or raise an ApiError.

        Once *leaving* is set the turn is interrupted, which reports its usage.
        """
        try:
            with understood():
                async with aclosing(self._events(leaving)) as events:
                    async for event in events:
                        self._outcome.note(event)
                        yield event
        finally:
            if stderr := self._transport.stderr_tail():
                log.info("process %d wrote to stderr: %s", self._process.pid, Redacted(stderr))

    async def _events(self, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        asked = ask(self._transport, self._hooks.by_event())
        try:
            async with asyncio.timeout(None) as deadline:
                first_event = self._wait_for_first_event(deadline)
                interrupting = asyncio.create_task(self._interrupt_when(leaving, deadline))
                try:
                    async with aclosing(asked) as messages:
                        async for message in messages:
                            for event in self._read(message):
                                yield event
                            if await self._end_early():
                                _expect_result(deadline)
                finally:
                    first_event.cancel()
                    interrupting.cancel()
                    await self._prompts.close()
        except TimeoutError:
            if first_event.is_over:
                raise self._silence().error(self._process.profile.first_event_timeout) from None
            log.warning("process %d gave no result after its answer", self._process.pid)
        for event in self._conclude():
            yield event

    def _wait_for_first_event(self, deadline: asyncio.Timeout) -> FirstEventWait:
        return FirstEventWait(
            self._process.profile.first_event_timeout,
            deadline,
            has_begun=lambda: self._parser.started,
            works=lambda: self._setup.approved.running,
        )

    def _silence(self) -> Silence:
        return self._reports.silence(
            configured=bool(self.configured),
            connects=bool(self._turn.mcp_servers),
            hooks=self._process.profile.has_hooks,
        )

    async def _interrupt_when(self, leaving: asyncio.Event, deadline: asyncio.Timeout) -> None:
        await leaving.wait()
        self._parser.abandon()
        await self._prompts.close()
        _expect_result(deadline)
        with suppress(OSError):  # the process has ended
            await self._transport.interrupt()

    async def _end_early(self) -> bool:
        """End the turn if its answer is complete and the CLI would go on; say if it is complete.

        An interrupt yields the CLI's own numbers, but comes too late to prevent a further request.
        There a kill is better, though it leaves only the tokens of the API's stream, and no cost.
        If the key has a budget the cost must be known, so that no turn can hide its own.
        """
        parser = self._parser
        goes_on = parser.limited and not self._process.profile.budgeted
        waits_for_client = parser.called and self._turn.profile == "agent"
        if (goes_on or parser.went_on) and not self._turn.principal.has_budget:
            self._process.kill()
        elif goes_on or parser.went_on or parser.cut or waits_for_client:
            await self._transport.interrupt()
        return parser.cut or parser.limited or waits_for_client

    def _read(self, message: Any) -> list[Event]:
        if isinstance(message, StreamEvent) and message.parent_tool_use_id is None:
            return [*self._with_tools(self._parser.read(message.event))]
        reported: Iterable[Event] = ()
        if isinstance(message, SystemMessage):
            reported = self._read_system(message.subtype, message.data)
        if isinstance(message, AssistantMessage) and message.model == "<synthetic>":
            texts = (getattr(block, "text", "") for block in message.content)
            self._reports.notice = " ".join(texts)
        return [*reported, *self._subagents_used(), *self._setup.tool_uses.take()]

    def _subagents_used(self) -> Iterator[Event]:
        """Yield the turn's usage if subagents have used more, so that the budget counts it."""
        subagents, usage = self._setup.subagents, self._parser.usage
        if usage.count_subagents(subagents.usage, subagents.requests):
            yield usage.used()

    def _with_tools(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield *events*, and after the turn's start what became of MCP servers' tools before."""
        for event in events:
            yield event
            if isinstance(event, Started):
                yield from self._transport.listed_tools()
                yield from self._setup.approved.events

    def _read_system(self, subtype: str, data: dict[str, Any]) -> Iterator[Event]:
        if subtype == "init":
            self._reports.begun = True
            self._check_functions(data.get("tools") or ())
        elif subtype == "status":
            self._sending()
        elif subtype == PROMPT:
            self._prompts.begin(data["prompt"])
        elif subtype == PROMPT_OVER:
            self._prompts.end(data["prompt"])
        elif subtype.startswith("model_refusal"):
            self._parser.refuse(data)
        elif subtype == rate_limit_event.TYPE:
            if limits := rate_limit_event.limits_of(data):
                self._reports.limits = limits
                yield LimitsReported(limits)
        elif subtype == "api_retry":
            self._reports.retry = data
            # Once the model has begun, waiting costs less than starting again.
            longest = 0.0 if self._turn.fallbacks else LONGEST_WAIT
            if not self._parser.started and (error := error_of_retry(data, longest)):
                raise error

    def _check_functions(self, tools: Collection[str]) -> None:
        """Raise BadGateway if an agent's model would not see one of the client's functions."""
        functions = names_of(self._turn) if mcp_functions(self._turn) else {}
        missing = [own for name, own in functions.items() if name not in tools]
        if missing:
            names = ", ".join(missing)[:200]
            message = f"Claude Code did not offer these functions: {names}."
            raise BadGateway(message, retry=False, quote=names)

    def _conclude(self) -> Iterator[Event]:
        """Yield the turn's usage and how it ended, or raise the ApiError that ended it."""
        parser, result = self._parser, self._transport.result
        yield from self._setup.tool_uses.rest()
        if (used := parser.usage.used(result)).spent:
            yield used
        yield from parser.rest(result)
        if ended := parser.end(result):
            yield ended
            return
        if result is None:
            code = self._process.exit_code()
            log.error("process %d ended in mid-turn with %s", self._process.pid, code)
            # Nobody knows what it had done by then, so it must not be done twice.
            raise BadGateway("Claude Code's process ended in mid-turn.", retry=False)
        if parser.broke_off and not tells_why(result, self._reports.notice):
            raise BadGateway(BROKEN_OFF)
        gave_up = self._process.profile.asks_again and not parser.started
        raise self._reports.error(result, gave_up=gave_up)


def _expect_result(deadline: asyncio.Timeout) -> None:
    """Wait for the result for RESULT_SECONDS at most, from now on."""
    if deadline.when() is None:
        deadline.reschedule(asyncio.get_running_loop().time() + RESULT_SECONDS)
