"""The metrics: what they count, who may read them, and that they hold nothing of a caller."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, generate_latest

from tests.support.numbers import PREFIX, Numbers
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
from wrapper import Gateway, __version__
from wrapper.errors import Overloaded
from wrapper.prometheus import SHARED
from wrapper.services.events import Acquisition, Started, TextDelta, ToolUsed, Used
from wrapper.services.principal import Principal
from wrapper.services.spent import Spent, Usage
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
    """A turn's times, tokens, cost and upstream requests are counted, once."""
    started = Started("scripted-model", acquisition=Acquisition("warm", 0.002, 0.02))
    first, last = used("scripted-model"), used("scripted-model", requests=3)
    server = ScriptedServer(started, first, TextDelta("a"), last, DONE)
    for stream in (False, True):
        server.ask(stream=stream, claude={"profile": "plain"})
    numbers = numbers_of(server)
    for part in ("queue", "configure", "first_token", "total"):
        assert numbers.of(f"{part}_seconds_count", profile="plain") == 2
    assert numbers.of("lease_seconds_count", profile="plain", source="warm") == 2
    assert numbers.of("lease_seconds_sum") == pytest.approx(0.004)
    tokens = {"input": 6, "cache_read": 8, "cache_creation": 10, "output": 12, "reasoning": 4}
    for kind, count in tokens.items():
        assert numbers.of("tokens_total", model="scripted-model", kind=kind) == count
    assert numbers.of("cost_dollars_total", model="scripted-model") == 0.5
    assert numbers.of("upstream_requests_total") == 6
    assert numbers.of("errors_total") == 0


def test_tools():
    """Uses of tools are counted by outcome; those with names of others' choice are one each."""
    uses = [
        *(ToolUsed("Bash", "done", 0.5), ToolUsed("Bash", "failed", 1.5)),
        *(ToolUsed("mcp__a__b", "denied", 0.0), ToolUsed("mcp__c__d", "denied", 0.0)),
        *(ToolUsed("", "failed", 0.0), ToolUsed("Invented", "failed", 0.0)),
    ]
    server = ScriptedServer(Started("m"), *uses, TextDelta("a"), DONE)
    server.ask()
    numbers = numbers_of(server)
    for outcome in ("done", "failed"):
        assert numbers.of("tool_uses_total", tool="Bash", outcome=outcome) == 1
    assert numbers.of("tool_seconds_total", tool="Bash") == 2
    assert numbers.of("tool_uses_total", tool="mcp", outcome="denied") == 2
    assert numbers.of("tool_uses_total", tool="other", outcome="failed") == 2
    assert numbers.of("tool_uses_total") == 6


def test_numbers_that_fall():
    """If the engine reports less than before, its last report counts."""
    more, less = Used({"scripted-model": Spent(USAGE)}), Used({"scripted-model": Spent(Usage(1))})
    server = ScriptedServer(Started("scripted-model"), more, less, DONE)
    server.ask()
    numbers = numbers_of(server)
    assert numbers.of("tokens_total", kind="input") == 1
    assert numbers.of("tokens_total", kind="output") == 0


def test_failures():
    """Failures are counted by code: refused requests, failed turns and failed streams."""
    server = ScriptedServer(Started("m"), Overloaded("Busy."), max_concurrent_turns=1, max_queue=0)
    server.ask(model="gpt-9")
    server.ask(messages="?")
    server.ask()
    server.ask(stream=True)
    server.client.get("/v1/nowhere")
    numbers = numbers_of(server)
    failed = {"model_not_found": 1, "invalid_type": 1, "overloaded": 2, "unknown_url": 1}
    for code, count in failed.items():
        assert numbers.of("errors_total", code=code) == count
    assert numbers.of("errors_total") == sum(failed.values())


def test_turns_and_queue():
    """Running turns and waiting requests are shown while they run and wait."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1)
    running = server.client.post(CHAT_PATH, json={**CHAT_BODY, "stream": True})
    gateway = server.app.extensions["wrapper"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gateway.limits.admission.admit, 1)
        assert eventually(lambda: gateway.limits.admission.load()["waiting"] == 1)
        numbers = numbers_of(server)
        running.close()
        waiting.result()()
    assert [numbers.of(name) for name in ("turns_running", "requests_waiting", "places")] == [
        1,
        1,
        1,
    ]
    numbers = numbers_of(server)
    assert [numbers.of(name) for name in ("turns_running", "requests_waiting", "places")] == [
        0,
        0,
        1,
    ]


def test_pools(monkeypatch):
    """Warm and booting processes are shown by profile, and parked ones in total."""
    server = ScriptedServer()
    pools = {"agent": {"status": "ready", "ready": 2, "booting": 1}}
    health = {"status": "ok", "pools": pools, "parked": 4}
    monkeypatch.setattr(server.engine, "health", lambda: health)
    numbers = numbers_of(server)
    assert numbers.of("processes_ready", profile="agent") == 2
    assert numbers.of("processes_booting", profile="agent") == 1
    assert numbers.of("processes_parked") == 4


def test_failed_checks(monkeypatch):
    """The checks that Claude Code fails are counted by profile."""
    server = ScriptedServer()
    trials = {
        "agent": {"status": "failed", "failed": {"model": "It is seen.", "form": "It is new."}},
        "plain": {"status": "passed", "failed": {}},
    }
    health = {"status": "ok", "trials": trials}
    monkeypatch.setattr(server.engine, "health", lambda: health)
    numbers = numbers_of(server)
    assert numbers.of("failed_checks", profile="agent") == 2
    assert numbers.of("failed_checks", profile="plain") == 0


def test_nothing_of_a_caller():
    """No name of a key and no text of a caller appears, and labels are known words."""
    app = Flask(__name__)
    caller = Principal("alice", admin=True)
    engine = ScriptedEngine(lambda turn: [Started("claude-secret"), used("claude-secret"), DONE])
    Gateway(Settings(), engine=engine, authenticate=lambda request: caller).init_app(app)
    client = app.test_client()
    for model in ("claude-secret", "secret"):
        client.post(CHAT_PATH, json={**CHAT_BODY, "model": model})
    text = client.get("/v1/metrics").data.decode()
    assert "alice" not in text
    assert "secret" not in text
    numbers = Numbers(text)
    assert numbers.of("tokens_total", model="other", kind="output") == 6
    kinds = {"input", "cache_read", "cache_creation", "output", "reasoning"}
    jobs = {"batch", "response", "waiting", "running"}
    assert numbers.labels() == {"other", "agent", "model_not_found", __version__, "", *kinds, *jobs}


def test_lines_of_batches():
    """The lines of batches that wait are a number by which workers can be scaled."""
    server = ScriptedServer()
    server.app.extensions["wrapper"].work.batches.lines_waiting = 240
    assert numbers_of(server).of("batch_lines_waiting") == 240


def test_build_information(monkeypatch):
    """One series names the versions of the gateway and of the Claude Code that booted last."""
    server = ScriptedServer()
    assert numbers_of(server).of("build_info", version=__version__, cli_version="") == 1
    for cli_version in ("2.1.330", "2.1.331"):
        monkeypatch.setattr(server.engine, "cli_version", cli_version, raising=False)
        numbers = numbers_of(server)
        assert numbers.of("build_info") == 1
        assert numbers.of("build_info", version=__version__, cli_version=cli_version) == 1


def test_no_created_series():
    """No series says when another one was created, and an app's own metrics keep theirs."""
    server = ScriptedServer(Started("m"), Overloaded("Busy."))
    server.ask()
    names = {sample.name for sample in numbers_of(server).samples}
    assert PREFIX + "errors_total" in names
    assert not [name for name in names if name.endswith("_created")]
    app_registry = CollectorRegistry()
    Counter("orders", "The app's own.", registry=app_registry)
    assert b"orders_created" in generate_latest(app_registry)


def test_two_in_a_process():
    """Two gateways in one process count separately."""
    asked, other = ScriptedServer(), ScriptedServer()
    asked.ask()
    assert numbers_of(asked).of("total_seconds_count") == 1
    assert numbers_of(other).of("total_seconds_count") == 0


TWO_THAT_SHARE = """
from wrapper.prometheus.registry import Registry

registries = [Registry(str), Registry(str)]
counters = [registry.counter("asked", "Asked.", "code") for registry in registries]
for counter in counters * 3:
    counter.labels(code="x").inc()
print(registries[0].text().decode())
"""


def test_two_that_share(tmp_path):
    """Two gateways in one process add their numbers where processes share them."""
    command = [sys.executable, "-c", TWO_THAT_SHARE]
    shared = {**os.environ, SHARED: str(tmp_path)}
    shown = subprocess.run(command, env=shared, check=True, capture_output=True, text=True).stdout
    assert f'{PREFIX}asked_total{{code="x"}} 6.0' in shown


def test_without_the_library(monkeypatch):
    """Without Prometheus' library there are no metrics, and all else works."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    server = ScriptedServer()
    assert server.ask().status_code == 200
    for path in ("/metrics", "/v1/metrics"):
        assert error_of(server.client.get(path), 404)["code"] == "unknown_url"
    assert b"/metrics" not in server.client.get("/openapi.json").data


@pytest.mark.parametrize("path", ["/metrics", "/v1/metrics"])
def test_who_may_read(path):
    """If the gateway has a key, reading the metrics needs it."""
    server = ScriptedServer(api_key=KEY)
    error_of(server.client.get(path), 401)
    numbers_of(server, path, Authorization=f"Bearer {KEY}")
    error_of(ScriptedServer().client.get(path, headers={"Host": "evil.example"}), 403)


def test_only_admins():
    """If callers have keys of their own, only an admin may read the metrics."""
    app = Flask(__name__)
    callers = {"a": Principal("alice"), "b": Principal("bob", admin=True)}
    Gateway(
        Settings(),
        engine=ScriptedEngine(lambda turn: answer("Hi.")),
        authenticate=lambda request: callers.get(request.headers.get("x-api-key")),
    ).init_app(app)
    client = app.test_client()
    assert (
        "admin" in error_of(client.get("/v1/metrics", headers={"x-api-key": "a"}), 403)["message"]
    )
    assert client.get("/v1/metrics", headers={"x-api-key": "b"}).status_code == 200
