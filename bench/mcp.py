"""Agents' turns with the tools of an MCP server over HTTP, beside turns without.

The server answers at once, as the scripted upstream does, so that the times are those of the
gateway and of Claude Code.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.answer import Timing
from bench.contenders import Gateway
from tests.support.mcp_servers import write_config

SERVER = "docs"
WITHOUT, WITH = "agent", "agent, one MCP server"
TOOL = {"name": "add", "description": "Add numbers.", "inputSchema": {"type": "object"}}
NOT_FOUND = {"code": -32601, "message": "Method not found"}


class McpTurn:
    """The gateway, asked for an agent's turn with or without the server."""

    def __init__(self, gateway: Gateway, name: str):
        self.name = name
        self._gateway = gateway
        self._servers = [SERVER] if name == WITH else []

    def prepare(self) -> None:
        self._gateway.prepare()

    def ask(self) -> Timing:
        return self._gateway.ask(profile="agent", mcp_servers=self._servers)

    def close(self) -> None:
        """Do nothing: the gateway is a contender of its own."""


class _Handler(BaseHTTPRequestHandler):
    """Speaks MCP over HTTP, without streams."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a response in one piece
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" in message:
            self._send(200, json.dumps(_answer(message)).encode())
        else:
            self._send(202)

    def do_GET(self) -> None:
        self._send(405)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def _send(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def configured(folder: Path) -> Iterator[str]:
    """Serve the server while the block runs; yield the path of MCP_CONFIG in *folder*."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/mcp"
    try:
        yield write_config(folder / "mcp.json", **{SERVER: {"type": "http", "url": url}})
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    results: dict[str, Any] = {"tools/list": {"tools": [TOOL]}}
    if message["method"] == "initialize":
        version = message["params"]["protocolVersion"]
        info = {"name": SERVER, "version": "1"}
        results["initialize"] = {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": info,
        }
    result = results.get(message["method"])
    outcome = {"error": NOT_FOUND} if result is None else {"result": result}
    return {"jsonrpc": "2.0", "id": message["id"], **outcome}
