"""The whole gateway serves without what only Linux has, as it would on another system."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.support.hidden_linux import VARIABLE
from tests.support.server import MODEL, ROOT, children, command_line, eventually, started_for
from wrapper.host import UNTESTED


@pytest.fixture
def elsewhere(serve, tmp_path):
    """A gateway from whose first line on Linux is hidden."""
    (tmp_path / "sitecustomize.py").write_text("import tests.support.hidden_linux\n")
    path = f"{tmp_path}:{ROOT}"
    return serve(**{VARIABLE: "1", "PYTHONPATH": path, "POOL_SIZE": "2"}).wait()


def test_elsewhere(elsewhere, upstream):
    """It says that it is not tested there, answers, notices clients that leave, and ends clean."""
    server = elsewhere
    assert server.log().count(UNTESTED) == 1
    for profile in ("plain", "agent"):
        status, body = server.ask("hello", claude={"profile": profile})
        assert (status, body["object"]) == (200, "chat.completion")
    events, _ = server.stream("[[deltas 3]]")
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    _leave(server)
    assert eventually(lambda: server.health()["turns"]["running"] == 0, 20)
    assert eventually(lambda: upstream.requests[-1].ended == "aborted", 20)
    processes = [pid for pid in children(server.worker) if command_line(pid)]
    assert processes
    assert server.stop() == 0
    assert eventually(lambda: not started_for(server.temporary), 10)
    assert not server.roots()


def _leave(server):
    """Begin a stream that stalls, and hang up after its first event."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    messages = [{"role": "user", "content": "[[deltas 1]] [[stall 60]]"}]
    body = {"model": MODEL, "stream": True, "messages": messages}
    connection.request(
        "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
    )
    response = connection.getresponse()
    assert response.readline().startswith(b"data: {")
    response.close()
    connection.close()
