"""The warm-up: what a process is sent before its first turn."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.warmup import warm_up
from wrapper.services.claude.protocol.frames import IN_THE_BODY, settings
from wrapper.services.turn import Turn


class StandIn:
    """A process that refuses to send what it is asked."""

    def __init__(self, name, *, connects=False):
        self.profile = SimpleNamespace(
            name=name, alike=name == "plain", variables={}, connects=connects
        )
        self.asked: list[Any] = []

    def ask(self, request, seconds):
        self.asked.append(request)
        return {"synthetic": True}

    def send(self, frame, seconds):
        self.asked.append(frame)
        return {"is_error": True}


@pytest.mark.parametrize(("name", "sent"), [("plain", True), ("agent", False)])
def test_settings(name, sent):
    """A plain process gets the settings of the model's turns first; an agent would keep them."""
    process = StandIn(name)
    warm_up(cast(Process, process), 1.0, "haiku")
    turn = Turn("haiku", (IN_THE_BODY,), profile="plain")
    requests = [frame["request"] for frame in settings(turn)]
    assert (process.asked[:2] == requests) is sent
    assert any(request in process.asked for request in requests) is sent


@pytest.mark.parametrize("connects", [True, False])
def test_mcp_client(connects):
    """Only if turns may connect MCP servers, an agent connects one for no longer than that."""
    process = StandIn("agent", connects=connects)
    warm_up(cast(Process, process), 1.0)
    sets = [each for each in process.asked if each["subtype"] == "mcp_set_servers"]
    assert [[*each["servers"]] for each in sets] == ([["warm-up"], []] if connects else [])
