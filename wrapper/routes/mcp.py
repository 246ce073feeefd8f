"""The route of the MCP servers that a request may name."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import iso_time, reply
from wrapper.routes.operation import operation
from wrapper.schemas import state_examples
from wrapper.schemas.mcp import McpServerListSchema
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import ServerState

mcp = Blueprint("mcp", __name__)


@mcp.get("/mcp/servers")
@operation(answers={200: McpServerListSchema}, answer=state_examples.MCP_SERVERS, errors=(503,))
def list_servers() -> Response:
    """List the MCP servers that the caller may use, and how they fare; it waits for none."""
    gateway = current_gateway()
    servers = gateway.limits.policy.mcp_servers(principal())
    states = gateway.mcp_states(servers)
    data = [_body(server, states.get(server.name)) for server in servers]
    return reply({"object": "list", "data": data})


def _body(server: McpServer, state: ServerState | None) -> dict[str, Any]:
    tools = state.tools if state else ()
    return {
        "name": server.name,
        "type": server.kind,
        "state": state.status if state else "pending",
        "since": iso_time(state.since if state else None),
        "tools": [server.tool_name(tool) for tool in tools if server.permits(tool)],
        "last_error": state.last_error or None if state else None,
        "last_error_at": iso_time(state.last_error_at if state else None),
    }
