"""An MCP server that offers the client's functions to an agent, beside Claude Code's own tools.

Claude Code writes an agent's request body, so that functions have to come from an MCP server. This
one lists them and leaves every call unanswered, since the client runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrapper.errors import InvalidRequest
from wrapper.services.turn import Function, Turn

Frame = dict[str, Any]

SERVER = "client"
# Claude Code prefixes the names with this, to distinguish them from its own tools.
PREFIX = f"mcp__{SERVER}__"
# Claude Code truncates longer descriptions.
DESCRIPTION_CHARACTERS = 4096


class FunctionServer:
    """Answers Claude Code's requests to the MCP server that offers *functions*.

    Raises InvalidRequest for a function that Claude Code would truncate.
    """

    def __init__(self, functions: Sequence[Function]):
        self._functions = functions
        for function in functions:
            if len(function.description) > DESCRIPTION_CHARACTERS:
                raise InvalidRequest(
                    f"The description of {function.name} is longer than the "
                    f"{DESCRIPTION_CHARACTERS} characters that the profile agent takes; shorten "
                    "it, or leave the profile out.",
                    param="tools",
                )

    def answer(self, frame: Frame) -> Frame | None:
        """Return the answer to a control request, or None for a call, which gets no answer."""
        message = frame["request"]["message"]
        match message.get("method"):
            case "initialize":
                result = _server_info(message)
            case "tools/list":
                result = {"tools": [_tool(function) for function in self._functions]}
            case "tools/call":
                return None
            case _:
                result = {}
        return reply(frame, result)


def reply(frame: Frame, result: Frame) -> Frame:
    """Return the answer with this *result* to a request to an MCP server."""
    message = {"jsonrpc": "2.0", "id": frame["request"]["message"].get("id"), "result": result}
    answer = {"subtype": "success", "request_id": frame["request_id"]}
    response = {**answer, "response": {"mcp_response": message}}
    return {"type": "control_response", "response": response}


def mcp_functions(turn: Turn) -> tuple[Function, ...]:
    """Return the functions that Claude Code gets from the MCP server: those of an agent."""
    return turn.functions if turn.profile == "agent" else ()


def asks_server(frame: Frame) -> bool:
    """Say whether *frame* is a request to an MCP server in the gateway."""
    request = frame.get("request") or {}
    return frame["type"] == "control_request" and request.get("subtype") == "mcp_message"


def _server_info(message: Frame) -> Frame:
    version = (message.get("params") or {}).get("protocolVersion")
    info = {"name": SERVER, "version": "1"}
    return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}


def _tool(function: Function) -> Frame:
    described = {"description": function.description} if function.description else {}
    return {"name": function.name, **described, "inputSchema": dict(function.parameters)}
