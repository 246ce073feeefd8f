"""The SDK's transport for one turn on a process that already runs."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any

from claude_code_sdk import Transport

from wrapper.errors import BadGateway
from wrapper.logs.redaction import Redacted
from wrapper.services import resources
from wrapper.services.claude.conversation.brought_servers import BroughtServers
from wrapper.services.claude.conversation.pipes import Pipes
from wrapper.services.claude.conversation.sdk_handshake import SdkHandshake
from wrapper.services.claude.conversation.setup import Setup
from wrapper.services.claude.errors.engine_errors import DiedEarly
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol import command_lifecycle, rate_limit_event
from wrapper.services.claude.protocol.command_lifecycle import CommandLifecycle
from wrapper.services.claude.protocol.decoder import read_frame
from wrapper.services.claude.protocol.frames import Frame, control
from wrapper.services.claude.protocol.mcp_connection import (
    ASK_STATUS,
    POLL_SECONDS,
    McpConnection,
    without_secrets,
)
from wrapper.services.claude.protocol.mcp_server import asks_server
from wrapper.services.claude.protocol.permission_prompt import (
    NOBODY,
    answer_of,
    is_prompt,
    prompt_message,
    stands_for_prompt,
)
from wrapper.services.events import ToolsListed

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
MAX_IGNORED_TYPES = 30
# The types that the SDK can parse. It gives up the turn at any other, which newer CLIs send.
PARSED = {
    *("user", "assistant", "system", "result", "stream_event"),
    *("control_request", "control_response"),
}


class ProcessTransport(Transport):
    """Attaches a process's pipes to the running loop, sets it up, asks it, and detaches them.

    `result` is the last raw result frame, of which the SDK drops most fields. `configured` is the
    time, on the monotonic clock, when the setup was done. *ignored* counts, by type, the frames
    that are not passed on to the SDK.
    """

    def __init__(self, process: Process, setup: Setup, ignored: Counter[str]):
        self._process = process
        self._setup = setup
        self._ignored = ignored
        self._pipes = Pipes(ignored)
        self._brought = BroughtServers(setup.servers.brought if setup.servers else (), self._send)
        self._handshake = SdkHandshake()
        self._commands = CommandLifecycle()
        self.interrupted = False
        self.result: Frame | None = None
        self.configured = 0.0

    async def connect(self) -> None:
        """Attach the pipes, set the process up, and send the prompt.

        The SDK would send it some steps later, and lose it silently if the process has ended.
        Raises BadGateway if the process refuses its configuration, DiedEarly if it ends.
        """
        try:
            await self._pipes.attach(self._process.pipes)
            await self._configure()
            self.configured = time.monotonic()
            await self._ask()
        except OSError as error:
            if short := resources.lack(error):
                raise short from None
            raise DiedEarly("Claude Code ended while it was being configured.") from None

    async def write(self, data: str) -> None:
        """Write what the SDK sends, except its initialize request: `connect` has sent one."""
        if self._handshake.take(data):
            return
        if log.isEnabledFor(logging.DEBUG):
            log.debug("to %d", self._process.pid, extra={"frame": Redacted(json.loads(data))})
        await self._pipes.write(data)

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the frames that the SDK can parse, until the result or the process's end."""
        yield await self._handshake.answer()
        async for frame in self._frames():
            self._setup.follow(frame)
            yield frame
            if frame["type"] == "result":
                self.result = frame
                await self._wait_until_idle()
                return

    async def answer(self, frame: Frame) -> None:
        """Answer a permission request that came as a message."""
        await self._send(frame)

    async def interrupt(self) -> None:
        """Ask Claude Code, once, to end the turn; a result with the usage so far follows."""
        if not self.interrupted:
            self.interrupted = True
            await self._send(control("interrupt", {"subtype": "interrupt"}))

    def listed_tools(self) -> Iterator[ToolsListed]:
        """Yield the tools of the servers that the turn's caller brings."""
        return self._brought.listed()

    def hang_up(self) -> None:
        """Stop reading from the process, which ends `read_messages`."""
        self._pipes.hang_up()

    async def close(self) -> None:
        """Detach at once, whatever has been set up, and whatever is still to be written."""
        try:
            await self._brought.close()
        finally:
            self._pipes.close()

    def is_ready(self) -> bool:
        return self._pipes.attached

    async def end_input(self) -> None:
        """Keep stdin open, since the process outlives its input."""

    def stderr_tail(self) -> str:
        """Return the end of what the process wrote to stderr during the turn."""
        return self._pipes.stderr_tail()

    async def _configure(self) -> None:
        await self._request(self._setup.requests)
        if servers := self._setup.servers:
            await self._request(await self._connect(servers))
        for frame, answered in self._setup.history:
            await self._send(frame)
            if answered:
                await self._expect("result")
        await self._run_approved()

    async def _run_approved(self) -> None:
        """Run the calls that the client has approved. No second process may run them again."""
        approved = self._setup.approved
        for call, request in approved:
            if result := await self._brought.call(call):
                approved.add_result(result)
                continue
            try:
                await self._send(request)
                response = await self._expect("control_response")
            except (DiedEarly, OSError):
                what = "Claude Code's process ended while it ran an approved call."
                raise BadGateway(what, retry=False) from None
            approved.add_response(response["response"])

    async def _ask(self) -> None:
        """Send the prompt. Another process would run the approved calls again."""
        try:
            await self._send(self._setup.prompt)
        except OSError:
            if not self._setup.approved.events:
                raise
            what = "Claude Code's process ended after it had run approved calls."
            raise BadGateway(what, retry=False) from None

    async def _connect(self, servers: McpConnection) -> Sequence[Frame]:
        """Connect the turn's MCP servers, and return the settings to send.

        Only this turn waits for them, as no other one uses the process. Raises McpServerFailed.
        """
        profile = self._process.profile
        await self._brought.open(profile.mcp_timeout, profile.mcp_tool_timeout)
        try:
            async with asyncio.timeout(servers.seconds):
                answers = await self._request(servers.requests)
                while servers.is_pending(answers):
                    await asyncio.sleep(POLL_SECONDS)
                    answers = await self._request([ASK_STATUS])
        except TimeoutError:
            raise servers.give_up() from None
        return servers.settings(answers)

    async def _request(self, requests: Sequence[Frame]) -> dict[str, Any]:
        """Send control requests, and return their answers by the requests' ids."""
        for request in requests:
            await self._send(request)
        pending = {request["request_id"] for request in requests}
        answers = {}
        while pending:
            frame = await self._expect("control_response")
            request_id = _confirmed_id(frame)
            answers[request_id] = frame["response"].get("response")
            pending.discard(request_id)
        return answers

    async def _send(self, frame: Frame) -> None:
        log.debug("to %d", self._process.pid, extra={"frame": Redacted(without_secrets(frame))})
        await self._pipes.write(json.dumps(frame) + "\n")

    async def _expect(self, kind: str) -> Frame:
        """Return the next frame of this type. Raises DiedEarly if the process ends before."""
        async for frame in self._frames():
            if frame["type"] == kind:
                return frame
            if stands_for_prompt(frame):  # nobody can be asked yet
                await self._send(answer_of(frame["prompt"], NOBODY))
        raise DiedEarly("Claude Code ended while it was being configured.")

    async def _frames(self) -> AsyncIterator[Frame]:
        """Yield the frames that the SDK can parse, and answer those that are not the SDK's."""
        while (line := await self._pipes.read_line()) and not self._pipes.hung_up:
            try:
                frame = read_frame(line)
            except ValueError:
                self._ignored["unreadable"] += 1
                continue
            shown = Redacted(without_secrets(frame))
            log.debug("from %d", self._process.pid, extra={"frame": shown})
            if asks_server(frame):
                await self._answer_for_server(frame)
            elif is_prompt(frame):
                if message := await self._prompt(frame):
                    yield message
            elif frame["type"] in PARSED:
                yield frame
            elif frame["type"] == rate_limit_event.TYPE:  # the SDK knows no such message
                yield {**frame, "type": "system", "subtype": rate_limit_event.TYPE}
            elif frame["type"] == command_lifecycle.TYPE:
                self._commands.follow(frame)
            else:
                self._ignore(frame["type"][:40])

    async def _answer_for_server(self, frame: Frame) -> None:
        """Answer what Claude Code asks an MCP server that the gateway plays."""
        if await self._brought.answer(frame):
            return
        if answer := self._setup.functions.answer(frame):
            await self._send(answer)

    async def _prompt(self, frame: Frame) -> Frame | None:
        """Answer a permission request, or return it as a message for the turn's owner to decide.

        A call that ends the turn gets no answer.
        """
        permissions = self._setup.permissions
        if permissions.ends_turn(frame):
            return None
        answer = permissions.answer(frame)
        if answer is None:
            return prompt_message(frame)
        await self._send(answer)
        return None

    async def _wait_until_idle(self) -> None:
        """Wait until Claude Code reports such messages as done, which it does after the result."""
        with suppress(TimeoutError, ValueError):
            async with asyncio.timeout(IDLE_SECONDS):
                while self._commands.is_open and (line := await self._pipes.read_line()):
                    self._commands.follow(read_frame(line))

    def _ignore(self, kind: str) -> None:
        """Count an ignored frame by its type; the number of types that are counted is bounded."""
        counted = kind in self._ignored or len(self._ignored) < MAX_IGNORED_TYPES
        self._ignored[kind if counted else "other"] += 1


def _confirmed_id(frame: Frame) -> str:
    """Return the id of a request that succeeded. Raises BadGateway if it failed."""
    response = frame["response"]
    request_id, answer = str(response["request_id"]), response.get("response") or {}
    if response["subtype"] == "error":
        reason = str(response.get("error"))
        raise BadGateway(f"Claude Code refused its configuration: {reason}", quote=reason)
    if request_id == "cwd" and answer.get("status") != "ok":
        why = "Claude Code did not go to its working directory"
        raise BadGateway(f"{why}; the gateway's log has its answer.", details=f"{why}: {answer}")
    return request_id
