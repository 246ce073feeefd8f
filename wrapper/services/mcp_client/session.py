"""A session with an MCP server that a caller brings, for the time of one turn."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
from anyio import BrokenResourceError, ClosedResourceError
from mcp import ClientSession, McpError, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from wrapper.errors import McpServerFailed
from wrapper.json_text import Json
from wrapper.services.http_client.log_filter import drop_logs
from wrapper.services.http_client.pinned_transport import CONNECT_SECONDS
from wrapper.services.mcp_client.transport import CheckedTransport
from wrapper.services.tools.mcp import McpServer
from wrapper.version import __version__

# A server is told that its session has ended, but nobody waits long for its answer.
CLOSE_SECONDS = 1.0
# Of the list of tools. A longer list is cut.
MOST_PAGES = 8
LONGEST_ERROR = 1000
TOO_LATE = "it did not connect in time (MCP_TIMEOUT)"
ENDED = "it ended, or closed the connection"
# Raised before anything is sent.
_NOT_SENT = (ClosedResourceError, BrokenResourceError)
NOT_UNDERSTOOD = "its answer cannot be understood"


class McpSession:
    """Connects to *server*, and calls its tools.

    Once it is open, `tools` are the server's, as it lists them, and `instructions` are its own. It
    must be closed.
    """

    def __init__(self, server: McpServer):
        self.server = server
        self.tools: list[Json] = []
        self.instructions = ""
        self._seconds = self._call_seconds = 0.0
        self._transport = CheckedTransport(server)
        self._opening = asyncio.Lock()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None

    async def open(self, seconds: float, call_seconds: float) -> None:
        """Connect and list the tools within *seconds*; a call then takes up to *call_seconds*.

        Raises McpServerFailed.
        """
        self._seconds, self._call_seconds = seconds, call_seconds
        await self._open()

    async def _open(self) -> None:
        """Connect, unless the server is connected."""
        async with self._opening:
            if self._task is None or self._task.done():
                await self._begin()

    async def _begin(self) -> None:
        self._transport = CheckedTransport(self.server)
        ready = asyncio.Event()
        self._task = task = asyncio.create_task(self._serve(ready))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait(
                {task, waiting}, timeout=self._seconds, return_when="FIRST_COMPLETED"
            )
        finally:
            waiting.cancel()
        if not ready.is_set():
            raise self._failure(NOT_UNDERSTOOD if task.done() else TOO_LATE)

    async def call(self, tool: str, arguments: Any) -> Json:
        """Return the result of calling *tool*. What goes wrong is a result for the model, too."""
        try:
            async with asyncio.timeout(self._call_seconds):
                return await self._call_connected(tool, arguments)
        except _NOT_SENT:
            return self._error(ENDED)
        except TimeoutError:
            return self._error("it did not answer in time (MCP_TOOL_TIMEOUT)")
        except McpError as error:
            return failed_result(error.error.message[:LONGEST_ERROR])
        except ValidationError:
            return self._error(NOT_UNDERSTOOD)
        except McpServerFailed as error:
            return failed_result(error.message)

    async def close(self) -> None:
        """End the session, without waiting long for the server."""
        self._closing.set()
        if self._task:
            await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)
            await _end(self._task)

    async def _serve(self, ready: asyncio.Event) -> None:
        """Keep the session open until it is closed or fails.

        What the libraries open has to be closed in the task that has opened it.
        """
        drop_logs()
        try:
            async with AsyncExitStack() as stack:
                read, write = await self._connect(stack)
                session = ClientSession(
                    read,
                    write,
                    client_info=types.Implementation(
                        name="claude-code-gateway", version=__version__
                    ),
                )
                self._session = await stack.enter_async_context(session)
                self.instructions = (await session.initialize()).instructions or ""
                self.tools = await self._list(session)
                ready.set()
                await self._closing.wait()
        except Exception:  # noqa: S110 - open() and call() say so, by what the transport knows
            pass

    async def _connect(self, stack: AsyncExitStack) -> Any:
        """Return the streams from and to the server."""
        config = self.server.config
        if self.server.kind == "sse":
            streams = sse_client(
                config["url"],
                headers=dict(config["headers"]),
                httpx_client_factory=self._client,
            )
            return await stack.enter_async_context(streams)
        client = await stack.enter_async_context(self._client(config["headers"]))
        opened = streamable_http_client(config["url"], http_client=client)
        return (await stack.enter_async_context(opened))[:2]

    def _client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
        auth: httpx.Auth | None = None,
    ) -> httpx.AsyncClient:
        """Return a client with no *timeout* for an answer: the session has its own deadlines."""
        return httpx.AsyncClient(
            transport=self._transport,
            headers=headers,
            timeout=httpx.Timeout(CONNECT_SECONDS, read=None),
            auth=auth,
            trust_env=False,
        )

    async def _list(self, session: ClientSession) -> list[Json]:
        """Return all tools. Their schemas are used by Claude Code alone."""
        tools: list[Json] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            params = types.PaginatedRequestParams(cursor=cursor)
            request = types.ClientRequest(types.ListToolsRequest(params=params))
            page = _as_sent(await session.send_request(request, types.Result))
            types.ListToolsResult.model_validate(page)
            tools += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                break
        return tools

    async def _call_connected(self, tool: str, arguments: Any) -> Json:
        """Call *tool*; connect before, and once more if the server has ended the session."""
        await self._open()
        session = self._session
        try:
            return await self._call(tool, arguments)
        except _NOT_SENT:
            await self._drop(session)
            await self._open()
            return await self._call(tool, arguments)

    async def _drop(self, session: ClientSession | None) -> None:
        """Give up a *session* that has ended, unless another call has done so."""
        async with self._opening:
            if self._task and self._session is session:
                await _end(self._task)

    async def _call(self, tool: str, arguments: Any) -> Json:
        assert self._session is not None and self._task is not None  # noqa: S101, PT018
        params = types.CallToolRequestParams(name=tool, arguments=arguments)
        request = types.ClientRequest(types.CallToolRequest(params=params))
        calling = asyncio.create_task(
            self._session.send_request(request, types.Result, timedelta(seconds=self._call_seconds))
        )
        try:
            await asyncio.wait({calling, self._task}, return_when="FIRST_COMPLETED")
            if calling.done():
                result = _as_sent(calling.result())
                types.CallToolResult.model_validate(result)
                return result
        finally:
            calling.cancel()
            # An error that nobody asks for would be logged, with what the server says.
            await asyncio.gather(calling, return_exceptions=True)
        return self._error(ENDED)

    def _error(self, failure: str) -> Json:
        return failed_result(self._failure(failure).message)

    def _failure(self, failure: str) -> McpServerFailed:
        """Return the error for *failure*, or for what the transport knows better."""
        why = self._transport.failure or failure
        name = self.server.name
        return McpServerFailed(f"The MCP server {name!r} cannot be used: {why}.", retry=False)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel *task*, also while it tells the server that the session has ended."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CLOSE_SECONDS)


def _as_sent(result: types.Result) -> Json:
    """Return *result* unchanged: a model of its own type would leave something out or add it."""
    return result.model_dump(by_alias=True, exclude_unset=True)


def failed_result(text: str) -> Json:
    """Return the result of a call that failed."""
    return {"content": [{"type": "text", "text": text}], "isError": True}
