"""The HTTP transport to one MCP server, which bounds what the server may send."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from wrapper.services.http_client.pinned_transport import PinnedTransport
from wrapper.services.tools.mcp import McpServer

# What a server may send in an answer. Over sse, all answers of a turn are one.
LONGEST_ANSWER = 4 * 1024**2
# More than any turn needs. A server can make its client ask again.
MOST_REQUESTS = 1000
_REDIRECTS = range(300, 400)
_REFUSED = (401, 403, 407)
_UNDERSTOOD = ("application/json", "text/event-stream")


class CheckedTransport(httpx.AsyncBaseTransport):
    """Sends requests to the host of *server*, and to no other, at addresses that were checked.

    `failure` says why the last request failed. *inner* makes the connections.
    """

    def __init__(self, server: McpServer, inner: httpx.AsyncBaseTransport | None = None):
        self._host = httpx.URL(server.config["url"]).raw_host
        self._streams = server.kind == "sse"
        self._pinned = PinnedTransport(private=server.private, inner=inner)
        self._requests = 0
        self.failure = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response. Raises httpx.TransportError, and then `failure` says why."""
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            raise self._failed("it makes its client ask too often")
        if request.url.raw_host != self._host:
            raise self._failed("it redirects to another host")
        if self._asks_for_messages(request):
            return httpx.Response(405, request=request)
        response = await self._send(request)
        self.failure = _fault(response)
        if self.failure and response.status_code == 200:
            await response.aclose()
            raise self._failed(self.failure)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise self._failed("it compresses its answers, which may be of any length then")
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
        response.stream = _BoundedStream(stream, self)
        return response

    async def aclose(self) -> None:
        await self._pinned.aclose()

    def overflow(self) -> httpx.TransportError:
        """Return the error for an answer that is too long."""
        return self._failed("its answer is too long")

    async def _send(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        try:
            return await self._pinned.handle_async_request(request)
        except httpx.TransportError as error:
            raise self._failed(str(error)) from None

    def _asks_for_messages(self, request: httpx.Request) -> bool:
        """Say whether *request* opens a stream of what the server says unasked: of no use here."""
        resumes = "last-event-id" in request.headers
        return request.method == "GET" and not (self._streams or resumes)

    def _failed(self, failure: str) -> httpx.TransportError:
        self.failure = failure
        return httpx.TransportError(failure)


class _BoundedStream(httpx.AsyncByteStream):
    """The body of an answer, up to LONGEST_ANSWER bytes."""

    def __init__(self, stream: httpx.AsyncByteStream, transport: CheckedTransport):
        self._stream = stream
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LONGEST_ANSWER
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise self._transport.overflow()
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _fault(response: httpx.Response) -> str:
    """Return what is wrong with the status of *response*, empty if nothing is."""
    status, kind = response.status_code, response.headers.get("content-type", "").lower()
    if status == 200 and not kind.startswith(_UNDERSTOOD):
        return "its answer is neither JSON nor a stream of events"
    if status in _REDIRECTS:
        return f"it redirects ({status})"
    if status in _REFUSED:
        return f"it refused the login ({status})"
    return "" if status < 400 else f"it answered with the status {status}"
