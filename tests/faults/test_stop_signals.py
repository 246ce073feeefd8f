"""Signals at random moments during traffic: the gateway ends in time, whatever it was doing."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import signal
import threading
import time

import pytest

from tests.support.server import ROOT, Server

# The gateway with an engine that costs nothing.
SCRIPTED = ("gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "bench.own:gateway()")
CALLERS = 3
# The worker ends after at most 5 s. gunicorn would kill it after 40 s.
LIMIT = 20.0


@contextlib.contextmanager
def traffic(server: Server):
    """Ask again and again, until the server has gone."""
    gone = threading.Event()

    def ask() -> None:
        while not gone.is_set():
            try:
                server.ask(random.choice(["hello", "[[deltas 3]] [[pause 0.02]]"]))
            except ConnectionRefusedError:
                return
            except (OSError, http.client.HTTPException, ValueError):
                pass  # it ended while it answered

    callers = [threading.Thread(target=ask) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        gone.set()
        for caller in callers:
            caller.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.thorough)])
def test_stop_during_traffic(serve, number, times):
    """A gateway that gets a signal during traffic ends by itself, soon and with status 0."""
    for _ in range(times):
        server = serve(program=SCRIPTED).listen()
        with traffic(server):
            assert server.health()["status"] == "ok"
            threading.Event().wait(random.random() / 2)
            began = time.monotonic()
            server.process.send_signal(number)
            assert server.ended() == 0, server.log()
            assert time.monotonic() - began < LIMIT, server.log()
        assert not re.search("SIGKILL|Traceback|exited with code", server.log()), server.log()
