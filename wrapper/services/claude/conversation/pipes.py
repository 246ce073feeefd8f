"""The pipes of a process, attached to the running event loop."""

from __future__ import annotations

import asyncio
import os
from asyncio.streams import FlowControlMixin
from collections import Counter
from typing import BinaryIO

LINE_BYTES = 64 * 1024 * 1024
# How much is read before it is needed; asyncio may read twice as much.
AHEAD_BYTES = 1024 * 1024
STDERR_BYTES = 4096


class Pipes:
    """Copies of a process's pipes, which the loop reads and writes until they are closed.

    *ignored* counts lines that are too long.
    """

    def __init__(self, ignored: Counter[str]) -> None:
        self._ignored = ignored
        self._files: list[BinaryIO] = []
        self._transports: list[asyncio.BaseTransport] = []
        self._stderr = bytearray()
        self.hung_up = False

    async def attach(self, descriptors: tuple[int, int, int]) -> None:
        """Attach copies of stdin, stdout and stderr to the loop."""
        loop = asyncio.get_running_loop()
        for descriptor in descriptors:
            self._files.append(os.fdopen(os.dup(descriptor), "r+b", 0))
        stdin, stdout, stderr = self._files
        self._reader = asyncio.StreamReader(limit=AHEAD_BYTES)
        from_stdout, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), stdout
        )
        self._transports.append(from_stdout)
        from_stderr, _ = await loop.connect_read_pipe(lambda: _Tail(self._stderr), stderr)
        self._transports.append(from_stderr)
        to_stdin, flow = await loop.connect_write_pipe(FlowControlMixin, stdin)
        self._transports.append(to_stdin)
        self._writer = asyncio.StreamWriter(to_stdin, flow, None, loop)

    @property
    def attached(self) -> bool:
        return bool(self._transports)

    async def write(self, text: str) -> None:
        self._writer.write(text.encode())
        await self._writer.drain()

    async def read_line(self) -> bytes:
        """Return the next line, empty if the process has ended or the line is too long."""
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

    def hang_up(self) -> None:
        """Stop reading from the process; what is being read ends."""
        self.hung_up = True
        if self._transports:
            self._transports[0].close()
            self._reader.feed_eof()

    def close(self) -> None:
        """Close the copies at once, even if something still waits to be written."""
        for transport in self._transports:
            if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
                transport.abort()
            transport.close()
        for file in self._files:
            file.close()

    def stderr_tail(self) -> str:
        """Return the end of what the process has written to stderr."""
        return self._stderr.decode(errors="replace").strip()


class _Tail(asyncio.Protocol):
    """Keeps the last bytes of a pipe."""

    def __init__(self, tail: bytearray):
        self._tail = tail

    def data_received(self, data: bytes) -> None:
        self._tail += data
        del self._tail[:-STDERR_BYTES]
