"""The states of MCP servers, as turns and checks last found them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from wrapper.services.tools.mcp import McpServer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What connecting a server found: its `tools`, or why it failed.

    Callers may see the `error`. The `details` are for the operator alone, and hold no secret.
    """

    tools: tuple[str, ...] = ()
    error: str = ""
    details: str = ""


@dataclass(frozen=True)
class ServerState:
    """A server's state. It has been so `since` then, and was last found so at `checked`.

    The last error stays when the server works again.
    """

    status: Literal["connected", "failed"]
    tools: tuple[str, ...]
    since: float
    checked: float
    last_error: str = ""
    last_error_at: float | None = None


class ServerStates:
    """The states of servers by name. A changed configuration makes a server's state unknown."""

    def __init__(self, clock: Callable[[], float] = time.time):
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[str, tuple[object, ServerState]] = {}

    def of(self, server: McpServer) -> ServerState | None:
        """Return the state of *server*, None if it is not known."""
        config, state = self._states.get(server.name, (None, None))
        return state if config == server.config else None

    def record(self, server: McpServer, finding: Finding) -> None:
        """Take note of what was found; the log tells when a server begins to fail or to work."""
        now = self._clock()
        with self._lock:
            before = self.of(server)
            state = _after(before, finding, now)
            self._states[server.name] = (server.config, state)
        if before is None or before.status != state.status:
            if finding.error:
                log.warning("MCP server %s: %s (%s)", server.name, finding.error, finding.details)
            else:
                log.info("MCP server %s: connected, %d tools", server.name, len(finding.tools))


def _after(before: ServerState | None, finding: Finding, now: float) -> ServerState:
    status: Literal["connected", "failed"] = "failed" if finding.error else "connected"
    since = before.since if before and before.status == status else now
    state = ServerState(status, finding.tools, since, now)
    if finding.error:
        return replace(state, last_error=finding.error, last_error_at=now)
    if before:
        return replace(state, last_error=before.last_error, last_error_at=before.last_error_at)
    return state
