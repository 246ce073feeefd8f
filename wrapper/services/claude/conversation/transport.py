"""The SDK's transport over a process that is already running, for the length of one turn."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from asyncio.streams import FlowControlMixin
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any, BinaryIO

from claude_code_sdk import Transport

from wrapper.errors import BadGateway
from wrapper.logs.redaction import Redacted
from wrapper.services import resources
from wrapper.services.claude.errors import DiedEarly
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.decoder import read_frame
from wrapper.services.claude.protocol.frames import Frame, control
from wrapper.services.claude.protocol.mcp_server import FunctionServer, asks_server
from wrapper.services.claude.protocol.permission_prompt import PermissionServer, asks_permission

log = logging.getLogger(__name__)

REST_SECONDS = 1.0
LINE_BYTES = 64 * 1024 * 1024
# What is read ahead of who asks for it, twice over at most.
AHEAD_BYTES = 1024 * 1024
STDERR_BYTES = 4096
MOST_KINDS = 30
LIFECYCLE = "command_lifecycle"
# What the SDK can parse. Newer CLIs say more, on which it would give up the turn.
KNOWN = {
    *("user", "assistant", "system", "result", "stream_event"),
    *("control_request", "control_response", "control_cancel_request"),
}


class ProcessTransport(Transport):
    """Attaches a process's pipes to the running loop, configures it, and lets go again.

    `result` is the last raw result frame, of which the SDK drops most fields; `ignored` counts
    the frames that were passed over, by type. `configured` is when it was configured, by *clock*.
    """

    def __init__(
        self,
        process: Process,
        requests: Iterable[Frame],
        history: Iterable[tuple[Frame, bool]],
        ignored: Counter[str],
        server: FunctionServer,
        clock: Callable[[], float] = time.monotonic,
        permissions: PermissionServer | None = None,
    ):
        self._process = process
        self._requests = list(requests)
        self._history = history
        self._ignored = ignored
        self._server = server
        self._clock = clock
        self._permissions = permissions
        self._greeting: asyncio.Queue[str] = asyncio.Queue()
        self._greeted = False
        self._hung_up = False
        self._files: list[BinaryIO] = []
        self._transports: list[asyncio.BaseTransport] = []
        self._stderr = bytearray()
        self._commands: set[str] = set()
        self.result: Frame | None = None
        self.configured = 0.0

    async def connect(self) -> None:
        """Attach and configure.

        Raises BadGateway when the process refuses its configuration, DiedEarly when it ends.
        """
        try:
            await self._configure()
        except OSError as error:
            if short := resources.lack(error):
                raise short from None
            raise DiedEarly("Claude Code ended while it was being configured.") from None
        self.configured = self._clock()

    async def write(self, data: str) -> None:
        """Write what the SDK says, but for its greeting: the process was initialized before."""
        if self._greeted:
            if log.isEnabledFor(logging.DEBUG):
                log.debug("to %d", self._process.pid, extra={"frame": Redacted(json.loads(data))})
            await self._write(data)
        else:
            self._greeted = True
            self._greeting.put_nowait(json.loads(data)["request_id"])

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the frames that the SDK knows, up to the result or the process's end."""
        answer = {"subtype": "success", "request_id": await self._greeting.get(), "response": {}}
        yield {"type": "control_response", "response": answer}
        async for frame in self._frames():
            yield frame
            if frame["type"] == "result":
                self.result = frame
                await self._rest()
                return

    async def interrupt(self) -> None:
        """Ask Claude Code to end the turn; a result with the usage so far follows."""
        await self._send(control("interrupt", {"subtype": "interrupt"}))

    def hang_up(self) -> None:
        """Hear no more of the process, which brings `read_messages` to its end."""
        self._hung_up = True
        if self._transports:
            self._transports[0].close()
            self._reader.feed_eof()

    async def close(self) -> None:
        """Let go at once, however far it got, and whatever is still to be written."""
        for transport in self._transports:
            if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
                transport.abort()
            transport.close()
        for pipe in self._files:
            pipe.close()

    def is_ready(self) -> bool:
        return bool(self._transports)

    async def end_input(self) -> None:
        """Keep stdin open: the process outlives its input."""

    def last_words(self) -> str:
        """Return the end of what the process wrote to stderr during the turn."""
        return self._stderr.decode(errors="replace").strip()

    async def _configure(self) -> None:
        await self._attach()
        for request in self._requests:
            await self._send(request)
        waiting = {request["request_id"] for request in self._requests}
        while waiting:
            waiting.discard(self._confirmed(await self._expect("control_response")))
        for frame, answered in self._history:
            await self._send(frame)
            if answered:
                await self._expect("result")

    async def _attach(self) -> None:
        loop = asyncio.get_running_loop()
        for pipe in self._process.pipes:
            self._files.append(_copy(pipe))
        stdin, stdout, stderr = self._files
        self._reader = asyncio.StreamReader(limit=AHEAD_BYTES)
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), stdout
        )
        self._transports.append(reading)
        complaining, _ = await loop.connect_read_pipe(lambda: _Tail(self._stderr), stderr)
        self._transports.append(complaining)
        writing, flow = await loop.connect_write_pipe(FlowControlMixin, stdin)
        self._transports.append(writing)
        self._writer = asyncio.StreamWriter(writing, flow, None, loop)

    async def _send(self, frame: Frame) -> None:
        log.debug("to %d", self._process.pid, extra={"frame": Redacted(frame)})
        await self._write(json.dumps(frame) + "\n")

    async def _write(self, data: str) -> None:
        self._writer.write(data.encode())
        await self._writer.drain()

    async def _expect(self, kind: str) -> Frame:
        """Return the next frame of this kind. Raises DiedEarly when the process ends before."""
        async for frame in self._frames():
            if frame["type"] == kind:
                return frame
        raise DiedEarly("Claude Code ended while it was being configured.")

    async def _frames(self) -> AsyncIterator[Frame]:
        while (line := await self._line()) and not self._hung_up:
            try:
                frame = read_frame(line)
            except ValueError:
                self._ignored["unreadable"] += 1
                continue
            log.debug("from %d", self._process.pid, extra={"frame": Redacted(frame)})
            if asks_server(frame):
                await self._serve(frame)
            elif self._permissions and asks_permission(frame):
                await self._send(self._permissions.answer(frame))
            elif frame["type"] in KNOWN:
                yield frame
            elif frame["type"] == LIFECYCLE:
                self._follow(frame)
            else:
                self._ignore(frame["type"][:40])

    def _follow(self, frame: Frame) -> None:
        """Take note of where Claude Code is with a message that bears a name."""
        name = str(frame.get("command_uuid"))
        if frame.get("state") in ("queued", "started"):
            self._commands.add(name)
        else:
            self._commands.discard(name)

    async def _rest(self) -> None:
        """Hear Claude Code say that it is done with such messages, which it does after a result."""
        with suppress(TimeoutError, ValueError):
            async with asyncio.timeout(REST_SECONDS):
                while self._commands and (line := await self._line()):
                    self._follow(read_frame(line))

    def _ignore(self, kind: str) -> None:
        """Count a frame of an unknown kind, of which there must not come to be any number."""
        known = kind in self._ignored or len(self._ignored) < MOST_KINDS
        self._ignored[kind if known else "other"] += 1

    async def _serve(self, frame: Frame) -> None:
        """Answer what Claude Code asks of the server that the client's functions come from."""
        if answer := self._server.answer(frame):
            await self._send(answer)

    async def _line(self) -> bytes:
        """Return the next line, or nothing where the process has ended or floods."""
        parts: list[bytes] = []
        while sum(map(len, parts)) <= LINE_BYTES:
            try:
                return b"".join((*parts, await self._reader.readuntil()))
            except asyncio.LimitOverrunError as over:
                parts.append(await self._reader.readexactly(over.consumed))
            except asyncio.IncompleteReadError as last:
                return b"".join((*parts, last.partial))
            except ConnectionError:
                break
        self._ignored["too long"] += 1
        return b""

    def _confirmed(self, frame: Frame) -> str:
        response = frame["response"]
        asked, told = str(response["request_id"]), response.get("response") or {}
        if response["subtype"] == "error":
            raise BadGateway(f"Claude Code refused its configuration: {response.get('error')}")
        if asked == "cwd" and told.get("status") != "ok":
            raise BadGateway(f"Claude Code did not go to its working directory: {told}")
        return asked


def _copy(pipe: int) -> BinaryIO:
    """Return the pipe once more, for a transport to close."""
    return os.fdopen(os.dup(pipe), "r+b", 0)


class _Tail(asyncio.Protocol):
    """Keeps the last bytes of a pipe."""

    def __init__(self, kept: bytearray):
        self._kept = kept

    def data_received(self, data: bytes) -> None:
        self._kept += data
        del self._kept[:-STDERR_BYTES]
