"""MCP servers for tests, and the configuration that names them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Without the directory of the program among those of modules: it has a numbers.py.
PYTHON = (sys.executable, "-P")
HERE = Path(__file__).parent
PACKAGED = str(HERE / "mcp_server.py")
BARE = str(HERE / "bare_mcp_server.py")
ELICITING = str(HERE / "eliciting_server.py")


@contextlib.contextmanager
def http_server(kind: str = "http") -> Iterator[str]:
    """Serve the packaged server over http or sse, and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [*PYTHON, PACKAGED, str(listening.fileno()), kind], pass_fds=[listening.fileno()]
        )
    try:
        yield f"http://127.0.0.1:{port}/{'sse' if kind == 'sse' else 'mcp'}"
    finally:
        process.kill()
        process.wait()


def bare(kind: str) -> dict[str, Any]:
    """Return the configuration of a server that behaves in this way."""
    return {"command": sys.executable, "args": ["-P", "-S", BARE, kind]}


def packaged(**variables: str) -> dict[str, Any]:
    """Return the configuration of the packaged server over stdio."""
    return {"type": "stdio", "command": sys.executable, "args": ["-P", PACKAGED], "env": variables}


def eliciting() -> dict[str, Any]:
    """Return the configuration of a server over stdio whose tools ask the user."""
    return {"type": "stdio", "command": sys.executable, "args": ["-P", ELICITING]}


def write_config(file: Path, **servers: Any) -> str:
    """Write MCP_CONFIG at once, as an editor does, and return its path."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({"mcpServers": servers}))
    os.replace(fresh, file)
    return str(file)
