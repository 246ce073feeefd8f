"""The span of a request: its parent, its facts, and how it ends."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.log_records import records_of
from tests.support.spans import traced
from wrapper.errors import Overloaded
from wrapper.services.events import Started, TextDelta
from wrapper.services.turns.request_log import RequestLog
from wrapper.testing.engine import answer

pytestmark = pytest.mark.packages

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLERS = f"00-{TRACE}-{SPAN}"


def ids(span):
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


def test_tree():
    """A request's span has those of its queue and its turn below it."""
    with traced() as gateway:
        gateway.ask()
    root = gateway.spans.one("POST /v1/chat/completions")
    assert root.kind is SpanKind.SERVER
    assert root.parent is None
    for name in ("queue", "chat haiku"):
        span = gateway.spans.one(name)
        assert span.parent == root.context
        assert root.start_time <= span.start_time <= span.end_time <= root.end_time
    assert len(gateway.spans.all()) == 3


def test_attributes():
    """It says what was asked by whom, and what became of that, by the conventions for HTTP."""
    with traced(api_key="sk-" + "k" * 32) as gateway:
        headers = {"Authorization": f"Bearer sk-{'k' * 32}", "x-request-id": "req-7"}
        gateway.ask(headers={**headers, "User-Agent": "tests"})
    assert dict(gateway.spans.one("POST").attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "user_agent.original": "tests",
        "http.response.status_code": 200,
        "claude_gateway.request_id": "req-7",
        "claude_gateway.key": "default",
        "claude_gateway.outcome": "done",
    }


def test_of_the_caller(caplog):
    """The caller's span is the parent, and the log names the trace; the response does not."""
    caplog.set_level("INFO", "wrapper.services.turns.request_log")
    with traced() as gateway:
        response = gateway.ask(headers={"traceparent": f"{CALLERS}-01", "tracestate": "one=1"})
    root = gateway.spans.one("POST")
    assert ids(root) == (TRACE, ids(root)[1])
    assert trace.format_span_id(root.parent.span_id) == SPAN
    assert root.context.trace_state.to_header() == "one=1"
    (line,) = records_of(caplog, RequestLog)
    assert (line.facts["trace_id"], line.facts["span_id"]) == ids(root)
    assert not [name for name, _ in response.headers if "trace" in name.lower()]


def test_not_sampled(caplog):
    """A trace that the caller does not sample has no spans, and the log names it all the same."""
    caplog.set_level("INFO", "wrapper.services.turns.request_log")
    with traced() as gateway:
        gateway.ask(headers={"traceparent": f"{CALLERS}-00"})
    assert gateway.spans.all() == []
    assert records_of(caplog, RequestLog)[0].facts["trace_id"] == TRACE


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "secret words"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": "0" * 5000},
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"tracestate": "one=1"},
    ],
)
def test_malformed_parent(headers, caplog):
    """What is no trace of a caller's begins a new one, and the log does not quote it."""
    with traced() as gateway:
        gateway.ask(headers=headers)
    assert gateway.spans.one("POST").parent is None
    assert not [line for line in caplog.records if line.name.startswith("opentelemetry")]


@pytest.mark.parametrize("state", ["secret words", "a=1,a=2", "=", "a=" + "x" * 5000, "é=1"])
def test_malformed_state(state, caplog):
    """A state that is malformed is dropped, and the log does not quote it."""
    with traced() as gateway:
        headers = {"traceparent": f"{CALLERS}-01", "tracestate": state}
        gateway.ask(headers=headers)
    root = gateway.spans.one("POST")
    assert (ids(root)[0], len(root.context.trace_state)) == (TRACE, 0)
    assert not [line for line in caplog.records if line.name.startswith("opentelemetry")]


def test_stream():
    """The span of a stream ends with it."""
    with traced(lambda turn: [*answer("Hello.")[:2], 0.05, *answer("Hello.")[2:]]) as gateway:
        gateway.ask(stream=True)
    root, turn = gateway.spans.one("POST"), gateway.spans.one("chat")
    assert root.end_time >= turn.end_time > turn.start_time + 50_000_000


def test_refused(caplog):
    """A request that is refused has a span with the status and the code, and no turn."""
    caplog.set_level("INFO", "wrapper.routes.error_handlers")
    with traced() as gateway:
        gateway.ask(temperature="hot")
    (root,) = gateway.spans.all()
    assert root.attributes["http.response.status_code"] == 400
    assert root.attributes["claude_gateway.outcome"] == "invalid_type"
    assert root.status.status_code is StatusCode.UNSET
    (line,) = [line for line in caplog.records if line.message == "refused"]
    assert (line.facts["trace_id"], line.facts["span_id"]) == ids(root)


def test_without_a_key():
    """A caller without a key makes no spans."""
    with traced(api_key="sk-" + "k" * 32) as gateway:
        assert gateway.ask(headers={"traceparent": f"{CALLERS}-01"}).status_code == 401
    assert gateway.spans.all() == []


def test_failed():
    """A failure of the gateway's side is an error, with the status."""
    with traced(lambda turn: [Overloaded("The model is overloaded.")]) as gateway:
        assert gateway.ask().status_code == 503
    root = gateway.spans.one("POST")
    assert root.status.status_code is StatusCode.ERROR
    assert root.attributes["error.type"] == "503"
    assert root.attributes["claude_gateway.outcome"] == "overloaded"


def test_client_gone():
    """A client that leaves ends the span, and is no error."""
    script = [Started("scripted-model"), TextDelta("Hel"), 30.0]
    with traced(lambda turn: script) as gateway:
        messages = [{"role": "user", "content": "Hello?"}]
        body = {"model": "haiku", "messages": messages, "stream": True}
        with gateway.app.test_client() as client:
            response = client.post("/v1/chat/completions", json=body)
            next(iter(response.response))
            response.close()
    for name in ("POST", "chat"):
        assert gateway.spans.one(name).status.status_code is StatusCode.UNSET
    assert gateway.spans.one("POST").attributes["claude_gateway.outcome"] == "client_gone"


def test_inside_a_traced_app():
    """The span of a request is below the one of an app that traces its requests itself."""
    with traced() as gateway:
        tracer = gateway.spans.provider.get_tracer("app")
        with tracer.start_as_current_span("the app's") as outer:
            gateway.ask(headers={"traceparent": f"{CALLERS}-01"})
    root = gateway.spans.one("POST")
    assert root.parent == outer.get_span_context()
    assert root.kind is SpanKind.INTERNAL


def test_called_from_python():
    """A turn that the app asks for without HTTP has a span of its own around it."""
    with traced() as gateway:
        messages = [{"role": "user", "content": "Hello?"}]
        gateway.gateway.chat.complete(messages, model="haiku")
    root = gateway.spans.one("claude_code_gateway")
    assert root.parent is None
    assert gateway.spans.one("chat haiku").parent == root.context
    assert root.attributes == {"claude_gateway.outcome": "done"}


def test_other_routes():
    """Requests that run no turns have no spans."""
    with traced() as gateway, gateway.app.test_client() as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/health").status_code == 200
    assert gateway.spans.all() == []
