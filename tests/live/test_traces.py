"""Traces of a running gateway, as a collector gets them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.http_mcp_server import serving
from tests.support.otlp_collector import attributes, collecting
from tests.support.server import MODEL, environments, eventually

SECRET = "collector-secret-81fd"
PING = '[[tool mcp__mine__ping {"text": "private words"}]] [[result]]'
SETTINGS = {
    "DEFAULT_PROFILE": "plain",
    "MAX_CONCURRENT_TURNS": "1",
    "MCP_CALLER_HOSTS": "*",
    "MCP_PRIVATE_HOSTS": "localhost",
    "OTEL_BSP_SCHEDULE_DELAY": "50",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "600",  # longer than any request is waited for
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET}",
    "OTEL_SERVICE_NAME": "my-gateway",
}


@pytest.fixture
def collector():
    with collecting() as collector:
        yield collector


@pytest.fixture
def mine():
    """A caller's own MCP server."""
    with serving() as server:
        yield server


def parent(number):
    return {"traceparent": f"00-{number:032x}-{'b' * 16}-01"}


def trace(collector, number, *names):
    """Wait for the spans with these *names* of a trace, and return all of its spans by name."""
    trace_id = f"{number:032x}"
    assert eventually(lambda: set(names) <= set(collector.of(trace_id))), collector.spans
    return collector.of(trace_id)


ROOT = "POST /v1/chat/completions"


def ask_two(server, mine):
    """Ask for a tool of the caller's server, and for a stream that has to wait for it."""
    servers = [{"name": "mine", "url": mine.url("good")}]
    agent = {"claude": {"profile": "agent", "mcp_servers": servers}}
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.ask, f"[[wait 1]] {PING}", headers=parent(1), **agent)
        assert eventually(lambda: server.health()["turns"]["running"])
        second = pool.submit(server.stream, "[[say private words]]", headers=parent(2))
        assert first.result()[0] == 200, first.result()
        second.result()


def check_a_tool(collector, mine):
    """The spans of a turn and its tool stand in each other, and the tool's server gets the root."""
    spans = trace(collector, 1, ROOT, "execute_tool mcp__mine__ping")
    root, turn = spans[ROOT], spans["invoke_agent claude-code"]
    tool, lease = spans["execute_tool mcp__mine__ping"], spans["lease"]
    assert (root.parent_span_id.hex(), root.kind) == ("b" * 16, Span.SPAN_KIND_SERVER)
    assert root.span_id == turn.parent_span_id == spans["queue"].parent_span_id
    assert turn.span_id == tool.parent_span_id == lease.parent_span_id
    starts = [span.start_time_unix_nano for span in (root, turn, lease, tool)]
    assert starts == sorted(starts)
    assert tool.end_time_unix_nano <= turn.end_time_unix_nano <= root.end_time_unix_nano
    sent = {headers["traceparent"][:52] for _, headers in mine.seen}
    assert sent == {f"00-{1:032x}-{root.span_id.hex()}"}
    known = attributes(turn)
    assert (known["gen_ai.provider.name"], known["gen_ai.response.model"]) == ("anthropic", MODEL)
    assert known["gen_ai.usage.input_tokens"] > 0
    assert known["claude_gateway.cost_usd"] > 0


def check_a_stream_that_waited(collector):
    spans = trace(collector, 2, ROOT)
    queue = spans["queue"]
    assert queue.end_time_unix_nano - queue.start_time_unix_nano > 100_000_000
    chat = attributes(spans[f"chat {MODEL}"])
    assert chat["gen_ai.request.stream"] is True
    assert chat["gen_ai.response.time_to_first_chunk"] > 0
    assert collector.resources[0]["service.name"] == "my-gateway"


def check_an_error(server, collector):
    assert server.ask("[[error 529]] private words", headers=parent(3))[0] == 503
    failed = trace(collector, 3, ROOT)[f"chat {MODEL}"]
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert attributes(failed)["error.type"] == "overloaded"
    assert f"trace_id={3:032x}" in server.log()


def check_what_nobody_may_see(server, collector):
    assert b"private words" not in b"".join(span.SerializeToString() for span in collector.spans)
    assert SECRET not in server.log()
    claudes = server.claudes()
    assert claudes
    assert not [pid for pid, known in environments() if pid in claudes and b"OTEL_" in known]


def check_a_collector_that_hangs(server, collector):
    """Requests are answered meanwhile, and the gateway stops without the last traces."""
    collector.hangs.set()
    collector.asked.clear()
    assert server.ask("[[say one]]", headers=parent(4))[0] == 200
    assert collector.asked.wait(60)
    assert server.ask("[[say two]]", headers=parent(5))[0] == 200
    assert server.stop() == 0
    assert "the last traces are lost" in server.log()


def test_a_gateway_and_its_collector(serve, upstream, collector, mine):
    """A request's trace has its wait, its turn and its tools; a collector that hangs costs nothing.

    Nothing of it reaches Claude Code, and only with LOG_PROMPTS would it have anybody's words.
    """
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **SETTINGS).wait()
    ask_two(server, mine)
    check_a_tool(collector, mine)
    check_a_stream_that_waited(collector)
    check_an_error(server, collector)
    check_what_nobody_may_see(server, collector)
    check_a_collector_that_hangs(server, collector)


@pytest.mark.thorough
def test_stopped(serve, upstream, collector):
    """On SIGTERM the gateway sends the spans that it still has."""
    variables = {**SETTINGS, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **variables).wait()
    assert server.ask("[[say one]]", headers=parent(6))[0] == 200
    assert not collector.spans
    assert server.stop() == 0
    assert trace(collector, 6, ROOT)
