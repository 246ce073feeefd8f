"""The tool type `mcp`: a server that the request brings, or one of the gateway's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

from wrapper.json_text import Json
from wrapper.schemas.base import CodedMessage
from wrapper.schemas.mcp_servers import RequestedServers, load_server
from wrapper.schemas.responses.mcp_approval import load_unasked
from wrapper.services.tools.mcp import McpServer, NamedServer

MCP = "mcp"
# Ways to reach a server that only OpenAI has.
_UNSUPPORTED = ("connector_id", "tunnel_id")
_NAMES = {"name": "server_label", "url": "server_url"}
_SECRET = ("headers", "authorization")


# What only a server that the request brings has.
_OF_BROUGHT = ("headers", "authorization", "allowed_tools")


def with_mcp_tool(servers: RequestedServers, tool: Json, path: str) -> RequestedServers:
    """Return *servers* with that of a *tool* with this *path*. Raises ValidationError."""
    for name in _UNSUPPORTED:
        if tool.get(name) is not None:
            raise _unsupported(name, "Not supported; bring the server by its server_url.")
    unasked = load_unasked(tool)
    if tool.get("server_url") is not None:
        return servers.add(replace(_load_brought(tool, path), unasked=unasked))
    for name in _OF_BROUGHT:
        if tool.get(name) is not None:
            raise _unsupported(
                name, "Only for servers with a server_url; claude.allowed_tools narrows others."
            )
    label = tool.get("server_label")
    if not isinstance(label, str) or not label:
        raise ValidationError({"server_label": ["Not a valid string."]})
    return servers.name(label, NamedServer(path, unasked))


def _load_brought(tool: Json, path: str) -> McpServer:
    """Return the server that a *tool* with this *path* brings. Raises ValidationError."""
    given = {
        "name": tool.get("server_label"),
        "url": tool["server_url"],
        "headers": _headers(tool),
        "allowed_tools": _allowed(tool.get("allowed_tools")),
    }
    try:
        server = load_server({**given, "type": _type_of(tool["server_url"])}, path)
    except ValidationError as error:
        messages: Any = error.normalized_messages()  # type: ignore[no-untyped-call]
        raise ValidationError({_NAMES.get(n, n): why for n, why in messages.items()}) from None
    return server


def shown(tool: Json) -> Json:
    """Return *tool* as the response repeats it and the gateway keeps it: without any secret."""
    if tool.get("server_url") is None:
        return tool
    parts = urlsplit(tool["server_url"])
    host = parts.netloc
    kept = {name: value for name, value in tool.items() if name not in _SECRET}
    return {**kept, "server_url": f"{parts.scheme}://{host}/<redacted>", "headers": None}


def _headers(tool: Json) -> Any:
    headers, token = tool.get("headers") or {}, tool.get("authorization")
    if token is None:
        return headers
    if not isinstance(token, str) or not isinstance(headers, dict):
        raise ValidationError({"authorization": ["Not a valid string."]})
    if any(name.lower() == "authorization" for name in headers):
        raise ValidationError({"authorization": ["Stands in headers, too; send one of the two."]})
    return {**headers, "Authorization": f"Bearer {token}"}


def _allowed(asked: Any) -> Any:
    """Return the names in `allowed_tools`, which is a list or a filter."""
    if not isinstance(asked, dict):
        return asked
    if asked.get("read_only") is not None:
        message = "A server's word on what its tools change is not checked; send tool_names."
        raise ValidationError(
            {"allowed_tools": {"read_only": [CodedMessage(message, "unsupported_value")]}}
        )
    return asked.get("tool_names")


def _type_of(url: Any) -> str:
    """Return the transport: by a convention, URLs of servers over SSE end in /sse."""
    path = url.partition("?")[0] if isinstance(url, str) else ""
    return "sse" if path.rstrip("/").endswith("/sse") else "http"


def _unsupported(name: str, message: str) -> ValidationError:
    return ValidationError({name: [CodedMessage(message, "unsupported_value")]})
