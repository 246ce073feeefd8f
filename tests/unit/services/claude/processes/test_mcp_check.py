"""The check of MCP servers in the background."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from wrapper.errors import BadGateway
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.mcp_check import FRESH_SECONDS, QUICK_SECONDS, McpCheck
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import Finding
from wrapper.services.tools.tool import Tool

pytestmark = pytest.mark.packages

GOOD, STUCK, OTHER, SLOW = (
    McpServer(name, {"type": "stdio", "command": name})
    for name in ("good", "stuck", "other", "slow")
)
READ = Tool("Read")
DESCRIBED = Tool("mcp__good__a", "Does a.", {"type": "object"})


class Machine:
    """Processes that answer for every server but *stuck*, and late for *slow*.

    The model gets *tools*, or *tools* is an error. `later` are the calls to come.
    """

    def __init__(self, exit_code=None, tools=(READ, DESCRIBED)):
        self.exit_code = exit_code
        self.tools = tools
        self.booted = 0
        self.asked = []
        self.later: list[Callable[[], None]] = []
        self.now = 0.0
        self.check = McpCheck(later=self.later.append, ask=self.ask, clock=lambda: self.now)

    def ask(self, use):
        self.booted += 1
        process = SimpleNamespace(
            profile=SimpleNamespace(mcp_timeout=10.0),
            ask=self.answer,
            exit_code=lambda: self.exit_code,
        )
        use(SimpleNamespace(process=process, tools=self.describe))

    def describe(self, seconds):
        if isinstance(self.tools, Exception):
            raise self.tools
        return [*self.tools, Tool(f"mcp__{self.name}__a")]

    def answer(self, request, seconds):
        if "servers" in request:
            (self.name,) = request["servers"]
            self.asked.append(self.name)
            if self.name == "stuck" or (self.name == "slow" and seconds <= QUICK_SECONDS):
                raise BootFailed("no answer")
            return {}
        rows = [{"name": self.name, "status": "connected", "tools": [{"name": "a"}]}]
        return {"mcpServers": rows}

    def run(self):
        while self.later:
            self.later.pop()()

    def states(self):
        servers = (GOOD, STUCK, OTHER, SLOW)
        found = {server.name: self.check.states.of(server) for server in servers}
        return {name: state.status for name, state in found.items() if state}


def test_one_after_the_other():
    """Each server is tried by itself; after one that blocks its process, another goes on.

    One that takes long is tried again, after all others.
    """
    machine = Machine()
    machine.check.begin([GOOD, STUCK, SLOW, OTHER])
    assert machine.states() == {}
    machine.run()
    fine = dict.fromkeys(("good", "slow", "other"), "connected")
    assert machine.states() == {**fine, "stuck": "failed"}
    assert machine.asked == ["good", "stuck", "slow", "other", "stuck", "slow"]
    assert machine.booted == 5


def test_descriptions():
    """The server's tools are described as the model gets them, and no other tool."""
    machine = Machine()
    machine.check.begin([GOOD])
    machine.run()
    state = machine.check.states.of(GOOD)
    assert state
    assert [tool.name for tool in state.described] == ["mcp__good__a", "mcp__good__a"]
    assert state.described[0] == replace(DESCRIBED, origin="mcp:good")


@pytest.mark.parametrize("error", [BootFailed("no answer"), BadGateway("no tools")])
def test_no_descriptions(error):
    """A server whose tools do not reach the model is failing, until a turn can use it."""
    machine = Machine(tools=error)
    machine.check.begin([GOOD, OTHER])
    machine.run()
    state = machine.check.states.of(GOOD)
    assert state
    assert state.last_error == "the descriptions of its tools cannot be read"
    assert machine.states() == {"good": "failed", "other": "failed"}
    machine.check.states.record(GOOD, Finding(("a",)))
    machine.check.begin([GOOD])
    assert machine.later


def test_changed_tools():
    """Tools that a turn finds to be others than before are described again."""
    machine = Machine()
    machine.check.begin([GOOD])
    machine.run()
    machine.check.states.record(GOOD, Finding(("a",)))
    machine.check.begin([GOOD])
    assert not machine.later
    machine.check.states.record(GOOD, Finding(("a", "b")))
    machine.check.begin([GOOD])
    assert machine.later


def test_waiting():
    """Who waits gets what is known when the check ends, or after their time."""
    machine = Machine()
    machine.check.wait([GOOD], 0.2)
    assert machine.states() == {}
    machine.later.clear()
    machine.check = McpCheck(later=lambda call: call(), ask=machine.ask, clock=lambda: machine.now)
    machine.check.wait([GOOD, STUCK], 3600)
    assert machine.states() == {"good": "connected", "stuck": "failed"}


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
