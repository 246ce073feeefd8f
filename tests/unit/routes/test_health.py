"""GET /health and /ready: what they report, and with which status."""

import json
from typing import Any

import pytest

from tests.support.scripted_server import KEY, ScriptedServer
from wrapper import create_app
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

pytestmark = pytest.mark.packages


@pytest.mark.parametrize("path", ["/ready", "/v1/ready"])
def test_ready(path):
    """Readiness needs no key, and ends as soon as the gateway shuts down."""
    server = ScriptedServer(api_key=KEY)
    response = server.client.get(path)
    assert (response.status_code, response.json) == (200, {"status": "ready"})
    server.app.extensions["wrapper"].lifecycle.draining = lambda: True
    response = server.client.get(path)
    assert (response.status_code, response.json) == (503, {"status": "draining"})


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_health(path, settings):
    """Health needs no key, and is served at the root and under the prefix."""
    client = ScriptedServer(max_concurrent_turns=3, **settings).client
    response = client.get(path)
    parts: dict[str, Any] = {
        name: {"status": "ok"} for name in ("machine", "sessions", "responses")
    }
    none = dict.fromkeys(("batch", "response"), 0)
    parts["jobs"] = {"status": "ok", "waiting": none, "running": none, "lines_waiting": 0}
    turns = {"running": 0, "waiting": 0, "places": 3, "approvals": 0}
    report = {"status": "ok", "turns": turns, "usage": {"status": "ok", "unbooked": 0}, **parts}
    assert (response.status_code, response.json) == (200, report)
    assert client.head(path).status_code == 200


class _Failing(ScriptedEngine):
    def __init__(self, status):
        super().__init__()
        self.status = status

    def health(self):
        return {"status": self.status, "pools": {}}


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("starting", 200), ("failing", 503)])
def test_failing_health(status, code):
    """Health is 503, with its report, only if the engine cannot serve any turn."""
    client = create_app(Settings(), engine=_Failing(status)).test_client()
    response = client.get("/health")
    report = json.loads(response.data)
    assert (response.status_code, report["status"], report["pools"]) == (code, status, {})
