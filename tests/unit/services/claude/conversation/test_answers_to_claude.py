"""What Claude Code learns of the servers that a turn's caller brings."""

from __future__ import annotations

import asyncio
from typing import Any

from wrapper.services.claude.conversation.brought_servers import MOST_CALLS, BroughtServers
from wrapper.services.tools.mcp import McpServer

SERVER = McpServer(
    "mine", {"type": "http", "url": "http://a", "headers": {}}, ("add",), brought="x"
)
TOOLS = [{"name": "add", "inputSchema": {}}, {"name": "delete", "inputSchema": {}}]


class Session:
    """Stands for a session with a server, whose calls wait for `over`."""

    server = SERVER
    tools = TOOLS
    instructions = "Be careful."

    def __init__(self):
        self.called: list[str] = []
        self.over = asyncio.Event()
        self.closed = False

    async def call(self, name, arguments):
        self.called.append(name)
        await self.over.wait()
        if arguments.get("fail"):
            raise RuntimeError("secret")
        return {"content": [], "arguments": arguments}

    async def close(self):
        self.closed = True


def frame(method, server="mine", **params):
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return {"request_id": "r1", "request": {"server_name": server, "message": message}}


def ask(*frames, over=True):
    """Return the results that Claude Code gets, whether each was answered here, and the session."""

    async def run():
        sent: list[Any] = []

        async def send(answer):
            sent.append(answer["response"]["response"]["mcp_response"]["result"])

        servers = BroughtServers([SERVER], send)
        session: Any = Session()
        servers.sessions["mine"] = session
        answered = [await servers.answer(asked) for asked in frames]
        if over:
            session.over.set()
            while len(sent) < sum(answered):
                await asyncio.sleep(0)
        await servers.close()
        return sent, answered, session

    return asyncio.run(run())


def test_handshake():
    """It gets the server's instructions, and nothing else that the server says of itself."""
    (result,), _, session = ask(frame("initialize", protocolVersion="2025-06-18"))
    assert result == {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "mine", "version": "1"},
        "instructions": "Be careful.",
    }
    assert session.closed


def test_tools_that_may_be_used():
    """It gets the tools that may be used, and calls no other."""
    (listed, denied), _, session = ask(frame("tools/list"), frame("tools/call", name="delete"))
    assert listed == {"tools": TOOLS[:1]}
    assert denied["isError"]
    assert session.called == []


def test_calls():
    """A call's result comes when the server has answered; other requests do not wait for it."""
    call = frame("tools/call", name="add", arguments={"a": 1})
    results, _, _ = ask(call, frame("ping"))
    assert results == [{}, {"content": [], "arguments": {"a": 1}}]


def test_call_that_fails_unexpectedly(caplog):
    """Each call gets an answer, as Claude Code waits for it, without what went wrong."""
    results, _, _ = ask(frame("tools/call", name="add", arguments={"fail": True}))
    assert results[0]["isError"]
    assert "secret" not in str(results)
    assert "failed" in caplog.text


def test_too_many_calls():
    """Calls beyond a number are refused at once."""
    call = frame("tools/call", name="add")
    results, _, session = ask(*[call] * (MOST_CALLS + 1), over=False)
    # The first calls have not begun yet, and are given up with the turn.
    assert [result["isError"] for result in results] == [True]
    assert session.closed


def test_other_servers():
    """A request to another server is not answered here."""
    assert ask(frame("tools/list", server="client"))[:2] == ([], [False])
