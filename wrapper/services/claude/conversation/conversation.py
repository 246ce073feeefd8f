"""The conversation of one turn with one process, held by the SDK."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from claude_code_sdk import AssistantMessage, SystemMessage
from claude_code_sdk.types import StreamEvent

from wrapper.errors import BadGateway
from wrapper.json_text.precision import is_exact
from wrapper.services.claude.conversation.query import ask, understood
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.errors import BROKEN_OFF, fault_of, fault_of_waiting, tells_why
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.content_blocks import answer_name, names_of
from wrapper.services.claude.protocol.frames import Frame
from wrapper.services.claude.protocol.initialize import last_round
from wrapper.services.claude.protocol.mcp_server import FunctionServer, mcp_functions
from wrapper.services.claude.protocol.permission_prompt import PermissionServer
from wrapper.services.claude.protocol.stream_parser import StreamParser
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Ended, Ending, Event, TextDelta, ToolUse
from wrapper.services.turn import Message, Turn

# Once the answer is whole the result comes in a few milliseconds, or not at all.
RESULT_SECONDS = 2.0
READING_SECONDS = 0.001

log = logging.getLogger(__name__)


class Conversation:
    """One turn on one process, a fresh one or the *place* in which its conversation has gone on.

    *sent* is called once its request is out. *names*: what is said gets names, so that the process
    can be emptied of it.
    """

    def __init__(
        self,
        process: Process,
        turn: Turn,
        workspace: str | None,
        ignored: Counter[str],
        place: ParkedProcess | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        sent: Callable[[], None] = lambda: None,
        names: bool = False,
    ):
        self.process = process
        if process.greeted:  # a late prompt is refused for some names that are not a model's own
            turn = replace(turn, model=process.own_name(turn.model))
        self._turn = turn
        settings, mode = frames.settings(turn), process.profile.mode
        if place:
            configuration = frames.reconfiguration(turn, settings, mode, process.settings)
        else:
            configuration = frames.configuration(
                turn, settings, workspace, initialized=process.greeted
            )
        process.settings = settings
        history = frames.history(turn, len(place.known) if place else 0)
        self._prompt = frames.prompt(turn)
        if names:
            history = self._name(history)
        server = FunctionServer(mcp_functions(turn))
        asked = process.profile.reads_only
        permissions = PermissionServer(workspace or process.directory) if asked else None
        self._transport = ProcessTransport(
            process, configuration, history, ignored, server, clock, permissions
        )
        self._functions = names_of(turn)
        self._reading = StreamParser(
            turn.sampling.stop,
            self._functions,
            answer_name(turn),
            UsageCounter(process.result),
            resumed=place is not None,
        )
        self._said: list[str] = []
        self._ended: Ended | None = None
        self._notice = ""
        self._interrupted = False
        self._sent = sent
        self._asked_again = False
        self._used_tools = False
        self._rounds = 0

    def _name(self, history: Iterator[tuple[Frame, bool]]) -> Iterator[tuple[Frame, bool]]:
        """Give names to the first and the last message of the user's, and return the history.

        What begins with the model's words cannot be gone back to, and gets none.
        """
        process, opening = self.process, next(history, None)
        process.last = str(uuid.uuid4())
        self._prompt = frames.with_uuid(self._prompt, process.last)
        if opening is None:
            process.first = process.first or process.last
            return history
        frame, answered = opening
        if not process.first and answered:
            process.first = str(uuid.uuid4())
            frame = frames.with_uuid(frame, process.first)
        return itertools.chain([(frame, answered)], history)

    @property
    def started(self) -> bool:
        """Say whether the model has begun to answer."""
        return self._reading.started

    @property
    def configured(self) -> float:
        """Return when the process knew all it must, by the clock."""
        return self._transport.configured

    def knowledge(self) -> tuple[Message, ...] | None:
        """Return what the process now knows of the conversation; None where it cannot go on.

        It can where the turn has ended by itself. In plain each turn brings the whole conversation,
        so that it goes on once it was emptied, and knows nothing. Where there is no session, a
        process that has used tools knows more than its client, and may have left files.
        """
        if self._ended is None or self._interrupted or self._transport.result is None:
            return None
        if self._used_tools and self._turn.session is None:
            return None
        if self._turn.profile == "plain":
            return ()
        # What Claude Code says of plan mode, and of its end, would stay in the conversation.
        if self._ended.ending is not Ending.DONE or self._turn.permissions.mode == "plan":
            return None
        text = "".join(self._said)
        if self._turn.output_schema and not is_exact(text):
            return None  # it knows its own answer with other numbers
        answer = (Message("assistant", (text,)),) if text.strip() else ()
        return (*self._turn.messages, *answer)

    def last_words(self) -> str:
        return self._transport.last_words()

    async def events(self, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        """Yield the turn's events, the last of them Ended, or raise an ApiError.

        Once *leaving* is set the turn is interrupted, to learn what it has used.
        """
        with understood():
            async with aclosing(self._events(leaving)) as events:
                async for event in events:
                    yield event

    async def _events(self, leaving: asyncio.Event) -> AsyncGenerator[Event]:
        try:
            async with asyncio.timeout(None) as patience:
                watch = asyncio.create_task(self._abandon(leaving, patience))
                try:
                    async with aclosing(self._ask()) as messages:
                        async for message in messages:
                            for event in self._read(message):
                                yield self._note(event)
                            if await self._end_early():
                                _lose(patience)
                finally:
                    watch.cancel()
        except TimeoutError:
            log.warning("process %d gave no result after its answer", self.process.pid)
        for event in self._conclude():
            yield self._note(event)

    def _note(self, event: Event) -> Event:
        if isinstance(event, TextDelta):
            self._said.append(event.text)
        elif isinstance(event, ToolUse):
            self._used_tools = True
        elif isinstance(event, Ended):
            self._ended = event
            self.process.result = self._transport.result
        return event

    async def _abandon(self, leaving: asyncio.Event, patience: asyncio.Timeout) -> None:
        await leaving.wait()
        self._reading.abandon()
        _lose(patience)
        with suppress(OSError):  # it has ended meanwhile
            await self._interrupt()

    async def _end_early(self) -> bool:
        """End the process where the answer is whole and it would go on; say whether it is whole.

        An interrupt gets the CLI's numbers, but comes too late to spare a further request; there
        a kill is better, and the numbers are those of the API's stream, without the cost. Where
        dollars are counted the cost must be known, so that nothing can be hidden in such turns.
        """
        reading = self._reading
        goes_on = reading.limited and not self.process.profile.budgeted
        if (goes_on or reading.went_on) and not self._turn.principal.has_budget:
            self.process.kill()
        elif goes_on or reading.went_on or reading.cut or self._waits_for_client():
            await self._interrupt()
        return reading.cut or reading.limited or self._waits_for_client()

    def _waits_for_client(self) -> bool:
        """Say whether Claude Code waits for functions that only the client can run."""
        return self._reading.called and bool(mcp_functions(self._turn))

    async def _interrupt(self) -> None:
        if not self._interrupted:
            self._interrupted = True
            await self._transport.interrupt()

    async def _end_round(self, *_: object) -> Any:
        """Stop the turn before the model is asked again, if that was its last round of tool use or
        its key's budget is spent."""
        self._rounds += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(RESULT_SECONDS):
                while self._reading.answering:  # until then what it used is not known
                    await asyncio.sleep(READING_SECONDS)
        lacking = self._lacking()
        if not lacking:
            return {}
        self._reading.exhaust(lacking)
        return {"continue": False, "stopReason": f"there is no more of: {lacking}"}

    def _lacking(self) -> str:
        """Return what the turn would need to ask the model again and does not have."""
        most = last_round(self._turn)
        if most is not None and self._rounds >= most:
            return "max_turns"
        return "" if self._turn.may_go_on() else "budget"

    def _ask(self) -> AsyncGenerator[Any]:
        return ask(self._transport, self._prompt, self._end_round)

    def _read(self, message: Any) -> list[Event]:
        if isinstance(message, StreamEvent) and message.parent_tool_use_id is None:
            return list(self._reading.read(message.event))
        if isinstance(message, SystemMessage):
            self._heed(message.subtype, message.data)
        if isinstance(message, AssistantMessage) and message.model == "<synthetic>":
            self._notice = " ".join(getattr(block, "text", "") for block in message.content)
        return []

    def _heed(self, subtype: str, told: dict[str, Any]) -> None:
        if subtype == "init":
            self._check_offer(told.get("tools") or ())
        elif subtype == "status":
            self._sent()
        elif subtype.startswith("model_refusal"):
            self._reading.refuse()
        elif subtype == "api_retry":
            self._asked_again = True
            # Once the model has begun a wait costs less than what it did.
            if not self.started and (error := fault_of_waiting(told)):
                raise error

    def _check_offer(self, tools: Collection[str]) -> None:
        """Raise BadGateway where an agent's model would not see one of the client's functions."""
        missing = [
            name for name in self._functions if mcp_functions(self._turn) and name not in tools
        ]
        if missing:
            what = ", ".join(map(self._functions.__getitem__, missing))[:200]
            raise BadGateway(f"Claude Code did not offer these functions: {what}.", retry=False)

    def _conclude(self) -> Iterator[Event]:
        """Yield what the turn has used and how it ended, or raise the ApiError that ended it."""
        result = self._transport.result
        if (used := self._reading.usage.used(result)).spent:
            yield used
        if (answer := (result or {}).get("structured_output")) is not None:
            yield from self._reading.answer(answer)
        else:
            yield from self._reading.answer_in_words()
        if ended := self._reading.end(result):
            yield ended
            return
        if result is None:
            code = self.process.exit_code()
            log.error("process %d ended in mid-turn with %s", self.process.pid, code)
            # What it had done by then is not known, and must not be done twice.
            raise BadGateway("Claude Code's process ended in mid-turn.", retry=False)
        if self._reading.broke_off and not tells_why(result, self._notice):
            raise BadGateway(BROKEN_OFF)
        gave_up = (
            self.process.profile.asks_again and not self._asked_again and not self._reading.started
        )
        raise fault_of(result, self._notice, gave_up=gave_up)


def _lose(patience: asyncio.Timeout) -> None:
    """Wait for the result from now on for RESULT_SECONDS at most."""
    if patience.when() is None:
        patience.reschedule(asyncio.get_running_loop().time() + RESULT_SECONDS)
