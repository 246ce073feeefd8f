"""The metrics: what is counted, who may read it, and that nothing of a caller's is in it."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.support.numbers import Numbers
from tests.support.scripted_server import (
    CHAT_BODY,
    CHAT_PATH,
    DONE,
    HOUR,
    KEY,
    ScriptedServer,
    error_of,
)
from tests.support.server import eventually
from wrapper import Gateway
from wrapper.errors import Overloaded
from wrapper.services.events import Acquisition, Spent, Started, TextDelta, Usage, Used
from wrapper.services.principal import Principal
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

pytestmark = pytest.mark.packages

USAGE = Usage(input=3, cache_read=4, cache_creation=5, output=6, reasoning=2)


def numbers_of(server, path="/metrics", **headers):
    response = server.client.get(path, headers=headers)
    assert response.status_code == 200, response.data
    assert response.mimetype == "text/plain"
    return Numbers(response.data.decode())


def used(*models, requests=1):
    return Used({model: Spent(USAGE, 0.25) for model in models}, requests)


def test_a_turn():
    """A turn's times, tokens, dollars and upstream requests are counted, once."""
    had = Started("scripted-model", had=Acquisition("warm", 0.002, 0.02))
    first, last = used("scripted-model"), used("scripted-model", requests=3)
    server = ScriptedServer(had, first, TextDelta("a"), last, DONE)
    for stream in (False, True):
        server.ask(stream=stream, claude={"profile": "plain"})
    told = numbers_of(server)
    for part in ("queue", "configure", "first_token", "total"):
        assert told.of(f"{part}_seconds_count", profile="plain") == 2
    assert told.of("lease_seconds_count", profile="plain", source="warm") == 2
    assert told.of("lease_seconds_sum") == pytest.approx(0.004)
    tokens = {"input": 6, "cache_read": 8, "cache_creation": 10, "output": 12, "reasoning": 4}
    for kind, count in tokens.items():
        assert told.of("tokens_total", model="scripted-model", kind=kind) == count
    assert told.of("cost_dollars_total", model="scripted-model") == 0.5
    assert told.of("upstream_requests_total") == 6
    assert told.of("errors_total") == 0


def test_numbers_that_become_less():
    """Where the engine takes back what it told, what is counted is what it told last."""
    more, less = Used({"scripted-model": Spent(USAGE)}), Used({"scripted-model": Spent(Usage(1))})
    server = ScriptedServer(Started("scripted-model"), more, less, DONE)
    server.ask()
    told = numbers_of(server)
    assert told.of("tokens_total", kind="input") == 1
    assert told.of("tokens_total", kind="output") == 0


def test_failures():
    """What fails is counted by its code, whether it was refused, ended so, or in mid-stream."""
    server = ScriptedServer(Started("m"), Overloaded("Busy."), max_concurrent_turns=1, max_queue=0)
    server.ask(model="gpt-9")
    server.ask(messages="?")
    server.ask()
    server.ask(stream=True)
    server.client.get("/v1/nowhere")
    told = numbers_of(server)
    failed = {"model_not_found": 1, "invalid_type": 1, "overloaded": 2, "unknown_url": 1}
    for code, count in failed.items():
        assert told.of("errors_total", code=code) == count
    assert told.of("errors_total") == sum(failed.values())


def test_how_things_are():
    """Turns that run and requests that wait are told while they do."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    running = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    gateway = server.app.extensions["wrapper"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gateway.admission.admit, 1)
        assert eventually(lambda: gateway.admission.load()["waiting"] == 1)
        told = numbers_of(server)
        running.close()
        waiting.result()()
    assert [told.of(name) for name in ("turns_running", "requests_waiting", "places")] == [1, 1, 1]
    told = numbers_of(server)
    assert [told.of(name) for name in ("turns_running", "requests_waiting", "places")] == [0, 0, 1]


def test_pools(monkeypatch):
    """Processes are told by profile, and those that are parked."""
    server = ScriptedServer()
    pools = {"agent": {"status": "ready", "ready": 2, "booting": 1}}
    told = {"status": "ok", "pools": pools, "parked": 4}
    monkeypatch.setattr(server.engine, "health", lambda: told)
    read = numbers_of(server)
    assert read.of("processes_ready", profile="agent") == 2
    assert read.of("processes_booting", profile="agent") == 1
    assert read.of("processes_parked") == 4


def test_nothing_of_a_callers():
    """Neither a key's name nor any text of a caller's is told, and labels are of known words."""
    app = Flask(__name__)
    caller = Principal("alice", admin=True)
    engine = ScriptedEngine(lambda turn: [Started("claude-secret"), used("claude-secret"), DONE])
    Gateway(Settings(), engine=engine, authenticate=lambda asked: caller).init_app(app)
    client = app.test_client()
    for model in ("claude-secret", "secret"):
        client.post(CHAT_PATH, json={**CHAT_BODY, "model": model})
    text = client.get("/v1/metrics").data.decode()
    assert "alice" not in text
    assert "secret" not in text
    told = Numbers(text)
    assert told.of("tokens_total", model="other", kind="output") == 6
    kinds = {"input", "cache_read", "cache_creation", "output", "reasoning"}
    assert told.labels() == {"other", "agent", "model_not_found", *kinds}


def test_two_in_a_process():
    """Two gateways in one process count apart."""
    one, other = ScriptedServer(), ScriptedServer()
    one.ask()
    assert numbers_of(one).of("total_seconds_count") == 1
    assert numbers_of(other).of("total_seconds_count") == 0


def test_without_the_library(monkeypatch):
    """Where Prometheus' library is not installed there are no metrics, and all else is well."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    server = ScriptedServer()
    assert server.ask().status_code == 200
    for path in ("/metrics", "/v1/metrics"):
        assert error_of(server.client.get(path), 404)["code"] == "unknown_url"
    assert b"/metrics" not in server.client.get("/openapi.json").data


@pytest.mark.parametrize("path", ["/metrics", "/v1/metrics"])
def test_who_may_read(path):
    """Where there is a key it is needed to read the metrics."""
    server = ScriptedServer(api_key=KEY)
    error_of(server.client.get(path), 401)
    numbers_of(server, path, Authorization=f"Bearer {KEY}")
    error_of(ScriptedServer().client.get(path, headers={"Host": "evil.example"}), 403)


def test_admins_alone():
    """Where callers have keys of their own only an admin reads what they all do."""
    app = Flask(__name__)
    callers = {"a": Principal("alice"), "b": Principal("bob", admin=True)}
    Gateway(
        Settings(),
        engine=ScriptedEngine(lambda turn: answer("Hi.")),
        authenticate=lambda asked: callers.get(asked.headers.get("x-api-key")),
    ).init_app(app)
    client = app.test_client()
    assert (
        "admin" in error_of(client.get("/v1/metrics", headers={"x-api-key": "a"}), 403)["message"]
    )
    assert client.get("/v1/metrics", headers={"x-api-key": "b"}).status_code == 200
