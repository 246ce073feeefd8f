"""Check MCP servers in the background, by connecting them to a process that runs no turn.

The process's model gets the descriptions of their tools, and the gateway is that model.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from wrapper.errors import BadGateway
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.recorded_process import RecordedProcess
from wrapper.services.claude.protocol.mcp_connection import (
    NO_ANSWER,
    SPARE_SECONDS,
    connect_request,
    read_findings,
)
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import MOST_DESCRIBED, Finding, ServerStates
from wrapper.services.tools.tool import MCP_ORIGIN

# What is older than this is checked again when somebody asks. Each check starts programs.
FRESH_SECONDS = 60.0
# A server that takes longer is tried again after all others, with its whole time.
QUICK_SECONDS = 3.0
POLL_SECONDS = 0.05
NOT_DESCRIBED = Finding(
    error="the descriptions of its tools cannot be read",
    details="Claude Code did not send them to the model",
)

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
        ask: Callable[[Callable[[RecordedProcess], None]], None],
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

    def wait(self, servers: Sequence[McpServer], seconds: float) -> None:
        """Wait until all of *servers* are known, with their tools, but only some *seconds*."""
        until = time.monotonic() + seconds
        while any(map(self._is_unknown, servers)) and time.monotonic() < until:
            self.begin(servers)
            time.sleep(POLL_SECONDS)

    def _is_due(self, server: McpServer) -> bool:
        state = self.states.of(server)
        if state is None or state.lacks_descriptions:
            return True
        return self._clock() - state.checked >= FRESH_SECONDS

    def _is_unknown(self, server: McpServer) -> bool:
        state = self.states.of(server)
        return state is None or state.lacks_descriptions

    def _run(self, due: list[McpServer]) -> None:
        slow: list[McpServer] = []
        try:
            while due:
                self._ask(lambda process: self._check(process, due, slow))
            while slow:
                self._ask(lambda process: self._check(process, slow))
        except BootFailed as error:
            log.info("MCP servers were not checked: %s", error)
        finally:
            self._running.release()

    def _check(
        self,
        recorded: RecordedProcess,
        due: list[McpServer],
        slow: list[McpServer] | None = None,
    ) -> None:
        """Check one server after the other, until one keeps the process from answering.

        With *slow*, such a server is added there, to be tried again.
        """
        whole = recorded.process.profile.mcp_timeout + SPARE_SECONDS
        while due:
            server = due.pop(0)
            finding = find(recorded, server, whole if slow is None else min(whole, QUICK_SECONDS))
            if finding is NO_ANSWER and slow is not None:
                slow.append(server)
            else:
                self.states.record(server, finding)
            if finding in (NO_ANSWER, NOT_DESCRIBED):
                return


def find(recorded: RecordedProcess, server: McpServer, seconds: float) -> Finding:
    """Connect *server*, and no other, to a process without a turn; return what was found."""
    process = recorded.process
    try:
        process.ask(connect_request([server]), seconds)
        status = process.ask({"subtype": "mcp_status"}, seconds)
    except BootFailed:
        if process.exit_code() is not None:  # nobody waits for the server any more
            raise
        return NO_ANSWER
    finding = read_findings([server], status)[server.name]
    if not 0 < len(finding.tools) <= MOST_DESCRIBED:
        return finding
    try:
        return _described(recorded, server, finding)
    except (BootFailed, BadGateway) as error:
        log.warning("MCP server %s: %s", server.name, error)
        return NOT_DESCRIBED


def _described(recorded: RecordedProcess, server: McpServer, finding: Finding) -> Finding:
    """Return *finding* with what the model gets of its tools."""
    whole = recorded.process.profile.mcp_timeout + SPARE_SECONDS
    names = {server.tool_name(tool) for tool in finding.tools}
    origin = f"{MCP_ORIGIN}{server.name}"
    described = tuple(
        replace(tool, origin=origin) for tool in recorded.tools(whole) if tool.name in names
    )
    return replace(finding, described=described) if described else NOT_DESCRIBED
