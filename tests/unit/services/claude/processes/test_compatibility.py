"""Which versions of Claude Code may serve, and why others may not."""

import logging
import os
import socket

import psutil
import pytest

from wrapper.services.claude.errors.engine_errors import Refused
from wrapper.services.claude.processes.compatibility import (
    OLDEST_VERSION,
    check,
    check_closed,
    check_version,
)
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.protocol import permission_prompt


def text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def test_oldest_version():
    """The oldest allowed version passes; an older one is refused, with what to do."""
    check_version(text(OLDEST_VERSION))
    before = (*OLDEST_VERSION[:-1], OLDEST_VERSION[-1] - 1)
    with pytest.raises(Refused, match=f"older than {text(OLDEST_VERSION)}.*pip install"):
        check_version(text(before))


def test_one_that_does_not_ask():
    """A Claude Code that runs commands unasked is refused where they may only read."""
    profile, version = Profile("agent", (), {}, reads_only=True), text(OLDEST_VERSION)
    asks = {"effective": {"permissions": {"ask": list(permission_prompt.ASKED)}}}
    check(profile, version, lambda _: asks)
    with pytest.raises(Refused, match="does not ask the gateway"):
        check(profile, version, lambda _: {"effective": {}})


# Sockets


@pytest.fixture
def listening(tmp_path, monkeypatch):
    """Return a function that makes this process listen on a socket of that name."""
    monkeypatch.chdir(tmp_path)
    opened = socket.socket(socket.AF_UNIX)

    def listen(name):
        opened.bind(f"./{name}")  # a whole path could be too long

    with opened:
        yield listen


def test_no_socket(listening):
    """A process may serve if no other one can find it by its id, or if it has ended."""
    check_closed(os.getpid())
    listening("1.sock")
    check_closed(os.getpid())
    check_closed(2**22 + 1)


def test_socket(listening):
    """A process with a socket named after its id is refused."""
    listening(f"{os.getpid()}.sock")
    with pytest.raises(Refused, match="HARBOR_KITE"):
        check_closed(os.getpid())


def denied(*_):
    raise psutil.AccessDenied


def test_socket_of_another_users_process(listening, monkeypatch):
    """Where another user's process does not show its sockets, those of all processes count."""
    listening(f"{os.getpid()}.sock")
    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    with pytest.raises(Refused, match="HARBOR_KITE"):
        check_closed(os.getpid())


def test_sockets_that_cannot_be_seen(monkeypatch, caplog):
    """Where no sockets can be seen at all, the log says so."""
    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    monkeypatch.setattr(psutil, "net_connections", denied)
    with caplog.at_level(logging.WARNING):
        check_closed(os.getpid())
    assert "cannot be checked" in caplog.text
