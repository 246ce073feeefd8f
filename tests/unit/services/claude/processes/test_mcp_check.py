"""The check of MCP servers in the background."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.mcp_check import FRESH_SECONDS, McpCheck
from wrapper.services.tools.mcp import McpServer

pytestmark = pytest.mark.packages

GOOD, STUCK, OTHER = (
    McpServer(name, {"type": "stdio", "command": name}) for name in ("good", "stuck", "other")
)


class Machine:
    """Processes that answer for every server but *stuck*. `later` are the calls to come."""

    def __init__(self, exit_code=None):
        self.exit_code = exit_code
        self.booted = 0
        self.asked = []
        self.later: list[Callable[[], None]] = []
        self.now = 0.0
        self.check = McpCheck(later=self.later.append, ask=self.ask, clock=lambda: self.now)

    def ask(self, use):
        self.booted += 1
        use(
            SimpleNamespace(
                profile=SimpleNamespace(mcp_timeout=1.0),
                ask=self.answer,
                exit_code=lambda: self.exit_code,
            )
        )

    def answer(self, request, seconds):
        assert seconds > 1.0
        if "servers" in request:
            (self.name,) = request["servers"]
            self.asked.append(self.name)
            if self.name == "stuck":
                raise BootFailed("no answer")
            return {}
        rows = [{"name": self.name, "status": "connected", "tools": [{"name": "a"}]}]
        return {"mcpServers": rows}

    def run(self):
        while self.later:
            self.later.pop()()

    def states(self):
        found = {server.name: self.check.states.of(server) for server in (GOOD, STUCK, OTHER)}
        return {name: state.status for name, state in found.items() if state}


def test_one_after_the_other():
    """Each server is tried by itself; after one that blocks its process, another goes on."""
    machine = Machine()
    machine.check.begin([GOOD, STUCK, OTHER])
    assert machine.states() == {}
    machine.run()
    assert machine.states() == {"good": "connected", "stuck": "failed", "other": "connected"}
    assert machine.booted == 2


def test_one_check_at_a_time():
    """While a check runs none begins, and what is fresh is not tried again."""
    machine = Machine()
    machine.check.begin([GOOD])
    machine.check.begin([GOOD, OTHER])
    assert len(machine.later) == 1
    machine.run()
    state = machine.check.states.of(GOOD)
    assert state
    checked = state.checked
    machine.now = checked + FRESH_SECONDS - 1
    machine.check.begin([GOOD])
    assert not machine.later
    machine.now = checked + FRESH_SECONDS
    machine.check.begin([GOOD])
    machine.run()
    assert machine.asked == ["good", "good"]


def test_the_end_of_a_process_is_no_fault_of_the_server():
    """A process that ends tells nothing about the server, and the next check can run."""
    machine = Machine(exit_code=-9)
    machine.check.begin([STUCK])
    machine.run()
    assert machine.states() == {}
    machine.check.begin([STUCK])
    assert machine.later
