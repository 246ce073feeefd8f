"""Check MCP servers in the background, by connecting them to a process that runs no turn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.mcp_connection import (
    NO_ANSWER,
    SPARE_SECONDS,
    connect_request,
    read_findings,
)
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import Finding, ServerStates

# What is older than this is checked again when somebody asks. Each check starts programs.
FRESH_SECONDS = 60.0

log = logging.getLogger(__name__)


class McpCheck:
    """Brings `states` up to date, with one process at a time.

    *later* calls a function in another thread. *ask* boots a process, calls a function with it, and
    stops it.
    """

    def __init__(
        self,
        *,
        later: Callable[[Callable[[], None]], object],
        ask: Callable[[Callable[[Process], None]], None],
        clock: Callable[[], float] = time.time,
    ):
        self.states = ServerStates()
        self._later = later
        self._ask = ask
        self._clock = clock
        self._running = threading.Lock()

    def begin(self, servers: Sequence[McpServer]) -> None:
        """Begin to check those of *servers* whose state is not fresh, unless a check is running."""
        due = [server for server in servers if self._is_due(server)]
        if due and self._running.acquire(blocking=False):
            self._later(lambda: self._run(due))

    def _is_due(self, server: McpServer) -> bool:
        state = self.states.of(server)
        return state is None or self._clock() - state.checked >= FRESH_SECONDS

    def _run(self, due: list[McpServer]) -> None:
        try:
            while due:
                self._ask(lambda process: self._check(process, due))
        except BootFailed as error:
            log.info("MCP servers were not checked: %s", error)
        finally:
            self._running.release()

    def _check(self, process: Process, due: list[McpServer]) -> None:
        """Check one server after the other, until one keeps the process from answering."""
        while due:
            server = due.pop(0)
            finding = find(process, server)
            self.states.record(server, finding)
            if finding is NO_ANSWER:
                return


def find(process: Process, server: McpServer) -> Finding:
    """Connect *server*, and no other, to a process without a turn; return what was found."""
    seconds = process.profile.mcp_timeout + SPARE_SECONDS
    try:
        process.ask(connect_request([server]), seconds)
        status = process.ask({"subtype": "mcp_status"}, seconds)
    except BootFailed:
        if process.exit_code() is not None:  # nobody waits for the server any more
            raise
        return NO_ANSWER
    return read_findings([server], status)[server.name]
