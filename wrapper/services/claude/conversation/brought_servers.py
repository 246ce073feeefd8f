"""The MCP servers that a turn's caller brings: Claude Code asks them through the gateway."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from wrapper.json_text import Json
from wrapper.logs.redaction import Redacted
from wrapper.services.claude.protocol.frames import Frame
from wrapper.services.claude.protocol.mcp_server import reply
from wrapper.services.events import ToolsListed
from wrapper.services.mcp_client.session import McpSession, failed_result
from wrapper.services.tools.mcp import McpServer
from wrapper.services.turn import ToolCall

log = logging.getLogger(__name__)

Send = Callable[[Frame], Awaitable[None]]

# Claude Code asks for several calls at once, but not for so many.
MOST_CALLS = 32


class BroughtServers:
    """Connects *servers* for a turn, and answers what Claude Code asks of them with *send*.

    So the servers' URLs and headers reach neither Claude Code nor anything that it starts.
    """

    def __init__(self, servers: Iterable[McpServer], send: Send):
        self.sessions = {server.name: McpSession(server) for server in servers}
        self._send = send
        self._calls: set[asyncio.Task[None]] = set()

    async def open(self, seconds: float, call_seconds: float) -> None:
        """Connect each server within *seconds*; a call then takes up to *call_seconds*.

        Raises McpServerFailed.
        """
        opening = [
            asyncio.create_task(session.open(seconds, call_seconds))
            for session in self.sessions.values()
        ]
        try:
            await asyncio.gather(*opening)
        finally:
            for task in opening:
                task.cancel()

    def listed(self) -> Iterator[ToolsListed]:
        """Yield the tools of each server that may be used."""
        for name, session in self.sessions.items():
            yield ToolsListed(name, tuple(_usable(session)))

    async def answer(self, frame: Frame) -> bool:
        """Answer *frame* if it asks one of these servers, and say whether it does.

        Calls are answered later.
        """
        request = frame["request"]
        session = self.sessions.get(request.get("server_name"))
        if session is None:
            return False
        message = request["message"]
        if message.get("method") == "tools/call" and len(self._calls) < MOST_CALLS:
            task = asyncio.create_task(self._call(session, frame))
            self._calls.add(task)
            task.add_done_callback(self._end_call)
        else:
            await self._send(reply(frame, _result_of(session, message)))
        return True

    async def call(self, call: ToolCall) -> Json | None:
        """Return the result of an approved *call*, None if it is of another server's tool."""
        session = self.sessions.get(call.server)
        if session is None:
            return None
        return await session.call(call.name, json.loads(call.arguments))

    async def close(self) -> None:
        """Give up calls that still run, and end the sessions."""
        for call in self._calls:
            call.cancel()
        if not self.sessions:
            return
        await asyncio.gather(*self._calls, return_exceptions=True)
        await asyncio.gather(*(session.close() for session in self.sessions.values()))

    def _end_call(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # the process is gone, as whoever reads from it learns

    async def _call(self, session: McpSession, frame: Frame) -> None:
        params = frame["request"]["message"].get("params") or {}
        name, arguments = str(params.get("name")), params.get("arguments")
        if session.server.permits(name):
            given = arguments if isinstance(arguments, dict) else {}
            result = await _result_of_call(session, name, given)
        else:
            result = failed_result(f"The tool {name[:80]!r} may not be used.")
        await self._send(reply(frame, result))


async def _result_of_call(session: McpSession, name: str, arguments: Json) -> Json:
    """Return the result of a call. Claude Code would wait for one that failed without a result."""
    try:
        return await session.call(name, arguments)
    except Exception as error:
        log.warning("a call of a caller's MCP server failed: %s", Redacted(error))
        return failed_result("The call failed in the gateway.")


def _usable(session: McpSession) -> list[Json]:
    return [tool for tool in session.tools if session.server.permits(tool["name"])]


def _result_of(session: McpSession, message: Frame) -> dict[str, Any]:
    """Return the result of a request that the server need not be asked for."""
    match message.get("method"):
        case "initialize":
            version = (message.get("params") or {}).get("protocolVersion")
            info = {"name": session.server.name, "version": "1"}
            shown = {"instructions": session.instructions} if session.instructions else {}
            capabilities: dict[str, Any] = {"tools": {}}
            return {
                "protocolVersion": version,
                "capabilities": capabilities,
                "serverInfo": info,
                **shown,
            }
        case "tools/list":
            return {"tools": _usable(session)}
        case "tools/call":
            return failed_result("There are too many calls at once.")
        case _:
            return {}
