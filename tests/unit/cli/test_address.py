"""The check of the address: free, taken, or taken by a gateway that runs."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from werkzeug.serving import make_server

from wrapper import create_app
from wrapper.cli import address
from wrapper.cli.address import check_address
from wrapper.settings import Settings
from wrapper.storage_checks import Level
from wrapper.testing.engine import ScriptedEngine, answer


class Engine(ScriptedEngine):
    """A scripted engine with a given health."""

    def __init__(self, status):
        super().__init__(lambda turn: answer("OK."))
        self._status = status

    def health(self):
        return {**super().health(), "status": self._status}


@contextlib.contextmanager
def serving(app):
    """Serve a WSGI app, and yield its port."""
    server = make_server("127.0.0.1", 0, app)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(("status", "level"), [("ok", Level.OK), ("failing", Level.WARNING)])
def test_running_gateway(host, status, level):
    """A gateway that listens there is no fault; a failing one is a warning."""
    with serving(create_app(Settings(port=0), engine=Engine(status))) as port:
        finding = check_address(Settings(host=host, port=port, api_key="k"))
    assert finding.level is level
    text = f"{host} port {port}: a gateway runs there; its /health says {status}"
    assert finding.message == text


def test_another_program():
    """Another HTTP server in the gateway's place is a fault."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"status": "ok"}']

    with serving(app) as port:
        finding = check_address(Settings(port=port))
    assert finding.level is Level.FAILED
    why = "Address already in use; set another PORT, or stop what listens there"
    assert finding.message == f"127.0.0.1 port {port}: {why}"


def test_silent_program(monkeypatch):
    """A program that does not answer is not waited for."""
    monkeypatch.setattr(address, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        finding = check_address(Settings(port=listener.getsockname()[1]))
    assert finding.level is Level.FAILED


def test_foreign_address():
    """An address that is not this machine's is HOST's fault."""
    finding = check_address(Settings(host="192.0.2.1", port=0, api_key="k"))
    assert finding.level is Level.FAILED
    assert finding.message.endswith("; set HOST to an address of this machine")
