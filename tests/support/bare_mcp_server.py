"""A stdio MCP server that starts quickly, without any package, and misbehaves as it is told.

    python -P -S bare_mcp_server.py KIND

KIND: good, many (a thousand tools), silent, garbage, flood, exits, crashes (in a call), hangs
(in a call), or remembers (what its tool was called with before).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

KIND = sys.argv[1]
TOOLS = [f"tool{number}" for number in range(1000)] if KIND == "many" else ["ping"]
called: list[str] = []


def main() -> None:
    if KIND == "exits":
        sys.exit(1)
    if KIND == "garbage":
        print("Welcome!\n{]\n" + json.dumps({"jsonrpc": 5}), flush=True)
    while KIND == "flood":
        sys.stdout.write("y\n" * 1000)
    for line in sys.stdin:
        message = json.loads(line)
        if KIND in ("silent", "garbage") or "id" not in message:
            continue
        result = answer(message)
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


def answer(message: dict[str, Any]) -> dict[str, Any]:
    parameters = message.get("params") or {}
    if message["method"] == "initialize":
        version = parameters["protocolVersion"]
        info = {"name": "bare", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    if message["method"] == "tools/list":
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        return {"tools": [{"name": name, "inputSchema": schema} for name in TOOLS]}
    if message["method"] == "tools/call":
        return call(parameters)
    return {}


def call(parameters: dict[str, Any]) -> dict[str, Any]:
    if KIND == "crashes":
        sys.exit(1)
    if KIND == "hangs":
        time.sleep(600)
    called.append(str((parameters.get("arguments") or {}).get("text", "")))
    text = " ".join(called) if KIND == "remembers" else f"pong {called[-1]}"
    return {"content": [{"type": "text", "text": text}]}


main()
