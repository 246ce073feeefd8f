"""The provider: the app's own, or one that OpenTelemetry's variables configure."""

from __future__ import annotations

import importlib.util
import threading
import time

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from wrapper.services.telemetry.traces import NULL_TRACE, NullTraces
from wrapper.tracing import open_traces, provider
from wrapper.tracing.traces import OtelTraces
from wrapper.version import __version__

pytestmark = pytest.mark.packages

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def variables(monkeypatch):
    """Return a function that sets variables, here and in the SDK; they are the environment."""

    def set_(**given):
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return given

    return set_


@pytest.fixture
def made():
    """Return a function that makes a provider, which is shut down after the test."""
    providers: list[TracerProvider] = []

    def make(**environment):
        own = provider.exporting_provider(environment)
        if own:
            providers.append(own)
        return own

    yield make
    for each in providers:
        each.shutdown()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", ENDPOINT: NOWHERE},
        {"OTEL_TRACES_EXPORTER": "zipkin", ENDPOINT: NOWHERE},
        {"OTEL_SDK_DISABLED": "true", ENDPOINT: NOWHERE},
    ],
)
def test_off(environment, variables):
    """Without a collector, or turned off, nothing is traced and no thread runs."""
    before = threading.active_count()
    traces = OtelTraces(variables(**environment), prompts=False)
    traces.start()
    assert traces.request("GET /", {}, {}) is traces.turns(None) is NULL_TRACE
    traces.close()
    assert threading.active_count() == before


def test_without_the_extra(monkeypatch):
    """Without the SDK nothing is traced."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert isinstance(open_traces({ENDPOINT: NOWHERE}, prompts=False), NullTraces)


def test_of_the_app(monkeypatch):
    """The provider that the app has set is used, and not shut down."""
    own = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: own)
    assert provider.app_provider() is own
    traces = OtelTraces({}, prompts=False)
    traces.start()
    traces.close()
    assert traces.request("GET /", {}, {}).ids["trace_id"]
    own.shutdown()


def test_none_of_the_app():
    """An app that has set none is no reason to trace."""
    assert provider.app_provider() is None


def test_resource(variables, made):
    """Spans say which service they are of; the operator's names win."""
    own = made(**variables(**{ENDPOINT: NOWHERE}))
    attributes = own.resource.attributes
    assert attributes["service.name"] == "claude-code-gateway"
    assert attributes["service.version"] == __version__
    named = {ENDPOINT: NOWHERE, "OTEL_SERVICE_NAME": "mine"}
    named["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test"
    other = made(**variables(**named))
    assert other.resource.attributes["service.name"] == "mine"
    assert other.resource.attributes["deployment.environment.name"] == "test"
    assert other.resource.attributes["service.instance.id"] != attributes["service.instance.id"]


def test_sampler(variables, made):
    """The operator's sampler decides about new traces."""
    own = made(**variables(**{ENDPOINT: NOWHERE, "OTEL_TRACES_SAMPLER": "always_off"}))
    assert not own.get_tracer("x").start_span("y").is_recording()


@pytest.mark.parametrize(
    ("name", "value", "logged"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER: zipkin is not supported"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "OTEL_* is wrong"),
    ],
)
def test_mistakes(name, value, logged, variables, made, caplog):
    """A variable that cannot be followed is named in the log, and the gateway starts."""
    made(**variables(**{ENDPOINT: NOWHERE, name: value}))
    assert logged in caplog.text


class Hanging(SpanExporter):
    """An exporter to a collector that does not answer."""

    def __init__(self):
        self.over = threading.Event()

    def export(self, spans):
        self.over.wait(60)
        return SpanExportResult.FAILURE


def test_collector_hangs(monkeypatch, caplog):
    """A collector that does not answer delays neither spans nor the end, and the log says so."""
    monkeypatch.setattr(provider, "FLUSH_SECONDS", 0.05)
    exporter = Hanging()
    own = TracerProvider(shutdown_on_exit=False)
    own.add_span_processor(
        BatchSpanProcessor(
            exporter, schedule_delay_millis=1, max_export_batch_size=1, max_queue_size=4
        )
    )
    began = time.monotonic()
    for _ in range(100):
        own.get_tracer("x").start_span("y").end()
    provider.shut_down(own)
    assert time.monotonic() - began < 30
    assert "the last traces are lost" in caplog.text
    exporter.over.set()
    for thread in threading.enumerate():
        if thread.name == "flush-traces" or "Otel" in thread.name:
            thread.join(60)
