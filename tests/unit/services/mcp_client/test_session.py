"""A session with a caller's MCP server: its tools, its calls, and what becomes of failures."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from tests.support.http_mcp_server import serving
from wrapper.errors import McpServerFailed
from wrapper.services.mcp_client.session import McpSession
from wrapper.services.tools.mcp import McpServer

SECRET = "secret-6b0d"


@pytest.fixture(scope="module")
def bare():
    """A server that misbehaves as the path of its URL says."""
    with serving() as server:
        yield server


def session_of(bare, kind):
    config = {
        "type": "sse" if kind == "sse" else "http",
        "url": f"{bare.url(kind)}?key={SECRET}",
        "headers": {"X-Key": SECRET},
    }
    return McpSession(McpServer("mine", config, brought="x", private=True))


@asynccontextmanager
async def opened(session, seconds=20.0, call_seconds=20.0):
    try:
        await session.open(seconds, call_seconds)
        yield session
    finally:
        await session.close()


def text_of(result):
    (content,) = result["content"]
    return content["text"]


def test_tools_and_calls(bare):
    """It lists a server's tools as they are, and returns the results of several calls at once."""

    async def run():
        async with opened(session_of(bare, "good")) as session:
            calls = [session.call("ping", {"text": str(number)}) for number in range(3)]
            return session.tools, await asyncio.gather(*calls)

    tools, results = asyncio.run(run())
    assert [tool["name"] for tool in tools] == ["ping"]
    assert list(map(text_of, results)) == ["pong 0", "pong 1", "pong 2"]
    assert bare.seen[-1][1]["X-Key"] == SECRET


@pytest.mark.parametrize("kind", ["html", "refuses", "redirects", "compressed"])
def test_a_server_that_cannot_be_used(bare, kind):
    """The error names the server, and neither its URL nor a header."""

    async def run():
        async with opened(session_of(bare, kind)):
            pass

    with pytest.raises(McpServerFailed, match="'mine' cannot be used: it") as caught:
        asyncio.run(run())
    assert SECRET not in caught.value.message


def test_a_server_that_hangs(bare):
    """A server that does not answer in time fails, and is given up."""

    async def run():
        async with opened(session_of(bare, "silent"), seconds=0.2):
            pass

    with pytest.raises(McpServerFailed, match="did not connect in time"):
        asyncio.run(run())


def test_a_call_that_hangs(bare):
    """A call that takes too long is a result for the model that says so."""

    async def run():
        async with opened(session_of(bare, "hangs"), call_seconds=0.2) as session:
            return await session.call("ping", {})

    result = asyncio.run(run())
    assert result["isError"]
    assert "did not answer in time (MCP_TOOL_TIMEOUT)" in text_of(result)


def test_after_a_server_has_died(bare):
    """A server that closes the connection in a call is connected again for the next calls."""

    async def run():
        async with opened(session_of(bare, "dies")) as session:
            return [await session.call("ping", {}) for _ in range(3)]

    bare.seen.clear()
    assert all("closed the connection" in text_of(result) for result in asyncio.run(run()))
    assert len([method for method, _ in bare.seen if method == "tools/call"]) == 3


def test_a_host_that_is_no_name():
    """A server whose host cannot be decoded is one that cannot be used."""
    config = {"type": "http", "url": "https://xn--a/mcp", "headers": {}}
    session = McpSession(McpServer("mine", config, brought="x"))
    with pytest.raises(McpServerFailed):
        asyncio.run(session.open(20.0, 20.0))


def test_after_a_stream_has_ended(bare):
    """A server that has ended its stream of events is connected again for the next calls."""

    async def run():
        async with opened(session_of(bare, "sse"), call_seconds=1.0) as session:
            assert text_of(await session.call("ping", {"text": "1"})) == "pong 1"
            bare.stream.put(None)
            # A call may still be sent before the end of the stream is noticed.
            while (await session.call("ping", {})).get("isError"):
                pass
            calls = [session.call("ping", {"text": str(number)}) for number in (2, 3)]
            return await asyncio.gather(*calls)

    assert list(map(text_of, asyncio.run(run()))) == ["pong 2", "pong 3"]


@pytest.mark.parametrize("kind", ["good", "garbage", "wrong", "dies", "html"])
def test_nothing_is_logged(bare, caplog, kind):
    """What the libraries log, with URLs and what servers say, is not in the log.

    asyncio and other parts of the gateway may log meanwhile.
    """
    caplog.set_level(logging.DEBUG)

    async def run():
        session = session_of(bare, kind)
        try:
            await session.open(0.5 if kind == "garbage" else 20.0, 20.0)
            await session.call("ping", {"text": SECRET})
        finally:
            await session.close()

    with caplog.at_level(logging.DEBUG):
        try:
            asyncio.run(run())
        except McpServerFailed:
            assert kind in ("garbage", "html")
    own = McpSession.__module__.rpartition(".")[0]
    loggers = {record.name for record in caplog.records if record.name != "asyncio"}
    assert {name for name in loggers if not name.startswith("wrapper") or own in name} == set()
    assert SECRET not in caplog.text
