"""The client's functions, offered to an agent beside Claude Code's own tools.

There the upstream body is Claude Code's to write, so that they come to it from an MCP server, which
this plays: it tells of the functions, and leaves every call unanswered, for the client to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrapper.errors import InvalidRequest
from wrapper.services.turn import Function, Turn

Frame = dict[str, Any]

SERVER = "client"
# Claude Code puts this before the names, which keeps them apart from those of its own tools.
PREFIX = f"mcp__{SERVER}__"
# Longer descriptions are cut by Claude Code.
DESCRIPTION_CHARACTERS = 4096


class FunctionServer:
    """Answers what Claude Code asks of the server that *functions* come from.

    Raises InvalidRequest for a function of which the model would not get all.
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
        """Return the answer to a control request, or None where none is due, as to a call."""
        message = frame["request"]["message"]
        match message.get("method"):
            case "initialize":
                result = _greeting(message)
            case "tools/list":
                result = {"tools": [_tool(function) for function in self._functions]}
            case "tools/call":
                return None
            case _:
                result = {}
        told = {"jsonrpc": "2.0", "id": message.get("id"), "result": result}
        answer = {"subtype": "success", "request_id": frame["request_id"]}
        response = {**answer, "response": {"mcp_response": told}}
        return {"type": "control_response", "response": response}


def mcp_functions(turn: Turn) -> tuple[Function, ...]:
    """Return the functions that have to come from the server, which are an agent's."""
    return turn.functions if turn.profile == "agent" else ()


def asks_server(frame: Frame) -> bool:
    request = frame.get("request") or {}
    return frame["type"] == "control_request" and request.get("subtype") == "mcp_message"


def _greeting(message: Frame) -> Frame:
    version = (message.get("params") or {}).get("protocolVersion")
    about = {"name": SERVER, "version": "1"}
    return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}


def _tool(function: Function) -> Frame:
    described = {"description": function.description} if function.description else {}
    return {"name": function.name, **described, "inputSchema": dict(function.parameters)}
