"""gunicorn's settings and hooks: several workers, reloads, and the sockets."""

import contextlib
import os
from types import SimpleNamespace
from typing import cast

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.sock import BaseSocket, TCP6Socket, TCPSocket, UnixSocket

from wrapper import prometheus
from wrapper.server import config
from wrapper.server.config import configuration, reasons_for_one_worker
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

REDIS = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["SESSION_STORE"]),
        ({"api_keys_file": "keys.toml"}, ["SESSION_STORE", "REDIS_URL"]),
        ({"session_store": "none"}, []),
        ({"session_store": REDIS}, []),
        ({"session_store": REDIS, "api_keys_file": "keys.toml"}, ["REDIS_URL"]),
        ({"session_store": REDIS, "api_keys_file": "keys.toml", "redis_url": REDIS}, []),
    ],
)
def test_several_workers(settings, names):
    """Several workers are refused if they would not share sessions or rates."""
    reasons = reasons_for_one_worker(Settings(**settings))
    assert [reason.partition(":")[0] for reason in reasons] == names


class Server:
    """What the hooks use of gunicorn's main process."""

    LISTENERS: list[BaseSocket]
    num_workers: int

    def __init__(self, **settings):
        self.cfg = Config()
        for name, value in settings.items():
            self.cfg.set(name, value)
        self.errors: list[str] = []
        self.log = SimpleNamespace(error=self._error, warning=lambda *_: None)
        self.reloads = 0

    def handle_hup(self):
        self.reloads += 1

    def _error(self, message, *arguments):
        self.errors.append(message % arguments)


@pytest.fixture
def hooks(monkeypatch, tmp_path):
    """The hooks of a server without a key."""
    for name in ("HOST", "API_KEY", "API_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SESSION_STORE", "none")
    _install_claude(monkeypatch, tmp_path)
    return configuration()


@pytest.fixture
def keys_file(monkeypatch, tmp_path):
    """A valid API_KEYS_FILE, beside a Claude Code."""
    _install_claude(monkeypatch, tmp_path)
    file = tmp_path / "keys.toml"
    file.write_text("[keys]\n")
    monkeypatch.setenv("API_KEYS_FILE", str(file))
    return file


def _install_claude(monkeypatch, tmp_path):
    claude = tmp_path / "claude"
    claude.write_text("#!/bin/sh\necho '2.1.400 (Claude Code)'\n")
    claude.chmod(0o755)
    monkeypatch.setenv("CLAUDE_CLI_PATH", str(claude))
    monkeypatch.chdir(tmp_path)


def test_reload_with_wrong_settings(keys_file):
    """On SIGHUP the server goes on as it is while settings are wrong, and logs what is wrong."""
    hooks, server = configuration(), Server()
    hooks["on_starting"](server)
    keys_file.write_text("[[[")
    server.handle_hup()
    assert server.reloads == 0
    assert "keys.toml is not valid TOML" in server.errors[0]
    keys_file.write_text("[keys]\n")
    server.handle_hup()
    assert server.reloads == 1


def test_reload_with_a_corrected_name(keys_file, monkeypatch):
    """A wrong value that .env had at a refused SIGHUP is forgotten once it is corrected there."""
    monkeypatch.setenv("MAX_TIMEOUT", "")
    monkeypatch.delenv("MAX_TIMEOUT")
    hooks, server, env_file = configuration(), Server(), keys_file.with_name(".env")
    hooks["on_starting"](server)
    env_file.write_text("MAX_TIMEOUT=abc\n")
    server.handle_hup()
    assert (server.reloads, "MAX_TIMEOUT" in os.environ) == (0, False)
    env_file.write_text("MAX_TIMEOUT=700\n")
    server.handle_hup()
    assert (server.reloads, os.environ["MAX_TIMEOUT"]) == (1, "700")


@pytest.mark.parametrize(
    ("kind", "address", "refused"),
    [
        (TCPSocket, ("127.0.0.1", 0), False),
        (TCPSocket, ("0.0.0.0", 0), True),
        (TCP6Socket, ("::1", 0), False),
        (TCP6Socket, ("::", 0), True),
        (UnixSocket, "socket", False),
    ],
)
def test_inherited_sockets(hooks, kind, address, refused):
    """Without a key a server refuses sockets beyond loopback, wherever it has them from."""
    server = Server()
    listener = kind(address, server.cfg, None)
    server.LISTENERS = [listener]
    refusal = pytest.raises(SystemExit, match="can be reached from other machines")
    with contextlib.closing(listener), refusal if refused else contextlib.nullcontext():
        hooks["when_ready"](server)


@pytest.fixture
def shared(monkeypatch):
    """The variable of the directory for metrics, which is not set, and nothing stays after it."""
    monkeypatch.setattr(config, "_own_variables", set())
    monkeypatch.setenv(prometheus.SHARED, "")
    monkeypatch.delenv(prometheus.SHARED)
    yield prometheus.SHARED
    config.on_exit(cast(Arbiter, Server()))


def test_metrics_after_an_upgrade(hooks, shared):
    """The server that replaces one of several workers gets no directory that ends with that one."""
    hooks["on_starting"](Server(workers=2, bind="127.0.0.1:0"))
    reloaded = Server()
    assert reloaded.cfg.env_orig[shared]
    hooks["pre_exec"](reloaded)
    assert shared not in reloaded.cfg.env_orig


def test_metrics_of_the_operator(hooks, shared, monkeypatch, tmp_path):
    """A directory that the operator has set for metrics is also that of the server's successor."""
    monkeypatch.setenv(shared, str(tmp_path))
    server = Server(workers=2, bind="127.0.0.1:0")
    hooks["on_starting"](server)
    hooks["pre_exec"](server)
    assert server.cfg.env_orig[shared] == str(tmp_path)


@pytest.mark.parametrize(("began", "stays"), [(1, 1), (2, 3)])
def test_more_workers(hooks, began, stays):
    """On SIGTTIN a server that began with one worker, which shares nothing, stays with it."""
    server = Server(workers=began)
    server.num_workers = began + 1
    hooks["nworkers_changed"](server, server.num_workers, began)
    assert server.num_workers == stays
    assert [error.rpartition("; ")[2] for error in server.errors] == ["start it with -w 2"] * (
        began == 1
    )
