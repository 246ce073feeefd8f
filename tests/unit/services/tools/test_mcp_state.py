"""The states of MCP servers."""

import pytest

from tests.support.log_records import messages_of
from wrapper.services.tools.mcp import McpServer
from wrapper.services.tools.mcp_state import MOST_DESCRIBED, Finding, ServerStates
from wrapper.services.tools.tool import Tool

pytestmark = pytest.mark.packages

SERVER = McpServer("docs", {"type": "stdio", "command": "x"})
GOOD, BAD = Finding(("add",)), Finding(error="it ended", details="code 1")


@pytest.fixture
def states():
    times = iter(range(100))
    return ServerStates(lambda: float(next(times)))


def test_since(states):
    """A state counts from when it was first found, and the last error stays."""
    for finding in (GOOD, GOOD, BAD, BAD, GOOD):
        states.record(SERVER, finding)
    state = states.of(SERVER)
    assert (state.status, state.since, state.checked) == ("connected", 4.0, 4.0)
    assert (state.last_error, state.last_error_at) == ("it ended", 3.0)


def test_another_configuration(states):
    """The state of a server whose configuration has changed is not known."""
    states.record(SERVER, GOOD)
    assert states.of(McpServer("docs", {"type": "stdio", "command": "y"})) is None
    assert states.of(McpServer("docs", SERVER.config, tools=("add",)))


def test_descriptions(states):
    """What is described stays until other tools are found, or the server fails."""
    described = (Tool("mcp__docs__add", "Adds."),)
    states.record(SERVER, GOOD)
    assert states.of(SERVER).lacks_descriptions
    states.record(SERVER, Finding(("add",), described=described))
    states.record(SERVER, GOOD)
    assert states.of(SERVER).described == described
    states.record(SERVER, Finding(("add", "more")))
    assert states.of(SERVER).lacks_descriptions
    states.record(SERVER, BAD)
    assert not states.of(SERVER).lacks_descriptions
    states.record(SERVER, Finding(tuple(map(str, range(MOST_DESCRIBED + 1)))))
    assert not states.of(SERVER).lacks_descriptions


def test_the_log(states, caplog):
    """Only a change of the state is logged, a failure with its details."""
    caplog.set_level("INFO")
    for finding in (BAD, BAD, GOOD, GOOD):
        states.record(SERVER, finding)
    assert messages_of(caplog, ServerStates) == [
        "MCP server docs: it ended (code 1)",
        "MCP server docs: connected, 1 tools",
    ]
