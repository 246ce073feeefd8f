"""Agents' turns with the tools of an MCP server over HTTP, beside turns without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.answer import Timing
from bench.contenders import Gateway
from tests.support.mcp_servers import http_server, write_config

SERVER = "docs"
WITHOUT, WITH = "agent", "agent, one MCP server"


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


@contextmanager
def configured(folder: Path) -> Iterator[str]:
    """Serve the server while the block runs; yield the path of MCP_CONFIG in *folder*."""
    with http_server() as url:
        yield write_config(folder / "mcp.json", **{SERVER: {"type": "http", "url": url}})
