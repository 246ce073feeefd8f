"""The MCP server offers the client's functions to an agent, and leaves calls to the client."""

import pytest

from wrapper.errors import InvalidRequest
from wrapper.services.claude.protocol.mcp_server import (
    DESCRIPTION_CHARACTERS,
    FunctionServer,
    asks_server,
    mcp_functions,
)
from wrapper.services.turn import Function, Turn

SCHEMA = {"type": "object"}
FUNCTION = Function("f", SCHEMA, "Does.")


def mcp_message(method, **params):
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    request = {"subtype": "mcp_message", "server_name": "client", "message": message}
    return {"type": "control_request", "request_id": "r1", "request": request}


def answer_to(frame, *functions):
    answer = FunctionServer(functions).answer(frame)
    assert answer is not None
    response = answer["response"]
    assert (response["subtype"], response["request_id"]) == ("success", "r1")
    reply = response["response"]["mcp_response"]
    assert (reply["jsonrpc"], reply["id"]) == ("2.0", 7)
    return reply["result"]


def test_functions_are_listed():
    """The server lists each function with its schema, and its description if it has one."""
    listed = answer_to(mcp_message("tools/list"), FUNCTION, Function("g", SCHEMA))
    assert listed == {
        "tools": [
            {"name": "f", "description": "Does.", "inputSchema": SCHEMA},
            {"name": "g", "inputSchema": SCHEMA},
        ]
    }


def test_protocol_version():
    """The server speaks the version of the protocol that Claude Code asks for."""
    info = answer_to(mcp_message("initialize", protocolVersion="2025-06-18"))
    assert info["protocolVersion"] == "2025-06-18"
    assert info["capabilities"] == {"tools": {}}


def test_calls_are_not_answered():
    """A call has no answer, since the client runs it; any other request has an empty one."""
    assert FunctionServer([FUNCTION]).answer(mcp_message("tools/call", name="f")) is None
    assert answer_to(mcp_message("ping")) == {}


def test_long_descriptions():
    """A description that Claude Code would truncate is refused."""
    FunctionServer([Function("f", SCHEMA, "x" * DESCRIPTION_CHARACTERS)])
    with pytest.raises(InvalidRequest, match="f is longer than") as caught:
        FunctionServer([Function("f", SCHEMA, "x" * (DESCRIPTION_CHARACTERS + 1))])
    assert caught.value.param == "tools"


def test_only_an_agent_uses_the_server():
    """A plain turn's functions are in the request body, and not on the server."""
    agent = Turn("m", (), functions=(FUNCTION,))
    assert mcp_functions(agent) == (FUNCTION,)
    assert mcp_functions(Turn("m", (), profile="plain", functions=(FUNCTION,))) == ()


def test_requests_are_recognised():
    """Only control requests with an MCP message are for the server."""
    assert asks_server(mcp_message("tools/list"))
    assert not asks_server({"type": "control_request", "request": {"subtype": "can_use_tool"}})
    assert not asks_server({"type": "control_request"})
    assert not asks_server({"type": "user"})
