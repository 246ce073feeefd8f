"""An MCP server that people use, which nobody here wrote, used by an agent."""

from __future__ import annotations

import json

from tests.clients.test_clients import find_environment
from tests.support.mcp_servers import write_config

CALL = (
    '[[tool mcp__time__convert_time {"source_timezone": "UTC", "time": "12:00", '
    '"target_timezone": "Asia/Tokyo"}]] [[result]]'
)


def test_time(serve, tmp_path, upstream):
    """The agent gets the tools of mcp-server-time, and the answer to its call."""
    python = str(find_environment("mcp-server-time") / "bin" / "python")
    server = {"command": python, "args": ["-m", "mcp_server_time", "--local-timezone=UTC"]}
    config = write_config(tmp_path / "mcp.json", time=server)
    gateway = serve(MCP_CONFIG=config, MCP_TIMEOUT="60000", POOL_SIZE_OTHER="0").wait()
    status, body = gateway.ask(CALL, claude={"profile": "agent", "mcp_servers": ["time"]})
    assert status == 200, body
    answer = json.loads(body["choices"][0]["message"]["content"])
    assert answer["target"]["datetime"].endswith("T21:00:00+09:00")
    assert {"mcp__time__get_current_time", "mcp__time__convert_time"} <= {
        tool["name"] for tool in upstream.requests[0].body["tools"]
    }
