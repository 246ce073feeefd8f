"""The states of MCP servers, as turns and checks last found them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.tool import Tool

# The tools of a server that offers more than a request may have are not described.
MOST_DESCRIBED = 128

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What connecting a server found: its `tools`, or why it failed.

    Of the tools that the model would get it has what is `described` of them, unless a turn found
    them.

    Callers may see the `error`. The `details` are for the operator alone, and hold no secret.
    """

    tools: tuple[str, ...] = ()
    error: str = ""
    details: str = ""
    described: tuple[Tool, ...] = ()


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
    described: tuple[Tool, ...] = ()

    @property
    def lacks_descriptions(self) -> bool:
        """Say whether the descriptions of its tools are still to be read."""
        return 0 < len(self.tools) <= MOST_DESCRIBED and not self.described


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
    described = finding.described
    if before and not described and before.tools == finding.tools:
        described = before.described
    state = ServerState(status, finding.tools, since, now, described=described)
    if finding.error:
        return replace(state, last_error=finding.error, last_error_at=now)
    if before:
        return replace(state, last_error=before.last_error, last_error_at=before.last_error_at)
    return state


@runtime_checkable
class ConnectsServers(Protocol):
    """An engine whose agents can use MCP servers."""

    def mcp_states(
        self, servers: Sequence[McpServer], seconds: float = 0.0
    ) -> Mapping[str, ServerState]:
        """Return the states of *servers* by name, as far as they are known.

        Wait up to some *seconds* for those that are not known, or whose tools are not described.
        """
        ...
