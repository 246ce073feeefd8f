"""Times and counts of a running gateway, in each answer and for Prometheus."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.live_console import LiveConsole
from tests.support.numbers import Numbers
from tests.support.server import MODEL, alive, children, eventually

POOLS = {"POOL_SIZE": "0", "POOL_SIZE_OTHER": "1"}
TURNS = 6


@pytest.fixture(scope="module")
def _measured(_servers):
    return _servers(**POOLS, DEFAULT_PROFILE="agent").wait()


@pytest.fixture
def measured(_measured, upstream):
    """A gateway with a warm process for plain and none for agent."""
    return _measured


def timing(server, text, profile="plain", **more):
    """Return an answer's times in milliseconds, and where its process came from."""
    messages = [{"role": "user", "content": text}]
    body = {"model": MODEL, "messages": messages, "claude": {"profile": profile}, **more}
    status, headers, _ = server.call("POST", "/v1/chat/completions", body)
    parts = [part.split(";") for part in headers["server-timing"].split(", ")]
    (source,) = [part[2] for part in parts if part[0] == "lease"] or [""]
    times = {part[0]: float(part[1].removeprefix("dur=")) for part in parts}
    return status, times, source.removeprefix("desc=")


def numbers(server):
    status, _, data = server.call("GET", "/metrics")
    assert status == 200
    return Numbers(data.decode())


def replaced(server, worker):
    """Say whether another worker comes in place of one that ends."""

    def done():
        return not alive(worker) and len(children(server.process.pid)) == 2

    return eventually(done)


def all_ready(server, count):
    """Say whether the metrics come to show so many warm processes."""
    return eventually(lambda: numbers(server).of("processes_ready", profile="plain") == count)


def test_parts_of_an_answer(measured):
    """An answer tells the times of its parts, and whether its process was warm, parked or cold."""
    measured.at_rest()
    status, times, source = timing(measured, "[[say one]]", session_id="timed")
    assert (status, source) == (200, "warm")
    assert list(times) == ["queue", "lease", "configure", "first_token", "total"]
    parts = times["queue"] + times["lease"] + times["configure"]
    assert 0 < parts <= times["first_token"] <= times["total"]
    assert measured.health()["parked"] == 1
    assert timing(measured, "[[say two]]", session_id="timed")[2] == "parked"
    assert timing(measured, "[[say three]]", "agent")[2] == "cold"
    measured.call("DELETE", "/v1/sessions/timed")


def test_parts_of_a_stream(measured):
    """A stream tells what is known when it begins."""
    _, times, _ = timing(measured, "[[say one]]", stream=True)
    assert list(times) == ["queue", "lease", "configure", "first_token"]


def test_parts_of_an_error(measured):
    """An error tells them, too."""
    status, times, _ = timing(measured, "[[error 529]]")
    assert status == 503
    assert list(times) == ["queue", "total"]


def test_one_worker(measured, upstream):
    """The metrics count the outcomes of turns, and show the gateway's state."""
    before = numbers(measured)
    timing(measured, "[[say one]]")
    timing(measured, "[[error 529]]")
    told = numbers(measured)

    def grown(name, **labels):
        return told.of(name, **labels) - before.of(name, **labels)

    assert grown("total_seconds_count", profile="plain") == 2
    assert grown("first_token_seconds_count", profile="plain") == 1
    assert grown("errors_total", code="overloaded") == grown("errors_total") == 1
    assert grown("upstream_requests_total") == 1
    assert grown("tokens_total", model=MODEL, kind="output") == 1
    assert grown("cost_dollars_total", model=MODEL) > 0
    assert told.of("turns_running") == told.of("requests_waiting") == 0
    assert told.of("places") == measured.health()["turns"]["places"]
    assert all_ready(measured, 1)


def stop_on_console(server):
    """Stop turns of several workers on the console of any of them."""
    console = LiveConsole(server)
    with ThreadPoolExecutor(TURNS) as pool:
        slow = "[[deltas 900]] [[pause 0.2]]"
        asked = [pool.submit(server.ask, slow, claude={"profile": "plain"}) for _ in range(TURNS)]
        for turn in console.turns(TURNS):
            assert console.stop(turn) == 303
        codes = {turn.result()[1]["error"]["code"] for turn in asked}
    assert codes == {"turn_stopped"}


def test_two_workers(serve, upstream):
    """Each worker's metrics include all workers, ended ones too; nothing is left afterwards.

    Each worker's console, too, shows all turns, and stops any of them; no Redis is needed.
    """
    server = serve("-w", "2", SESSION_STORE="none", DEFAULT_PROFILE="agent", **POOLS).wait()
    assert all_ready(server, 2)
    with ThreadPoolExecutor(TURNS) as pool:
        asked = [pool.submit(timing, server, "[[say one]]", "plain") for _ in range(TURNS)]
        assert {turn.result()[0] for turn in asked} == {200}

    def counted():
        told = numbers(server)
        return told.of("total_seconds_count"), told.of("upstream_requests_total")

    assert {counted() for _ in range(8)} == {(TURNS, TURNS)}
    assert all_ready(server, 2)
    for stop in (
        lambda: os.kill(server.worker, signal.SIGKILL),
        lambda: server.process.send_signal(signal.SIGHUP),
    ):
        stopped = server.worker
        stop()
        assert replaced(server, stopped)
        assert all_ready(server, 2)
        assert {counted() for _ in range(8)} == {(TURNS, TURNS)}
    stop_on_console(server)
    assert server.stop() == 0
    assert list(server.temporary.iterdir()) == []
