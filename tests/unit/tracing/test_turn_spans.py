"""The spans of turns: the model, what it used, its process, its tools, and errors."""

from __future__ import annotations

import json
import threading

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.server import eventually
from tests.support.spans import traced
from wrapper.errors import BadAnswer
from wrapper.services.events import (
    Acquisition,
    Ended,
    Ending,
    Started,
    TextDelta,
    ToolUse,
    ToolUsed,
    Used,
)
from wrapper.services.spent import Spent, Usage
from wrapper.testing.engine import answer, raw_answer
from wrapper.tracing.turn_record import MOST_TOOLS

pytestmark = pytest.mark.packages

USAGE = Usage(input=3, cache_read=4, cache_creation=5, output=9, reasoning=2)
MODEL = "claude-haiku-9"
STARTED = Started(MODEL, acquisition=Acquisition("warm", 0.25, 0.125))
END = [Used({MODEL: Spent(USAGE, 0.5)}), Ended(Ending.LENGTH, USAGE, 0.5)]
READ = [
    ToolUse("Read", '{"file_path": "a secret"}', "toolu_1"),
    ToolUsed("Read", "done", 0.5, "toolu_1", "a secret result"),
]


def test_model_and_usage():
    """A turn's span says what was asked of which model, and what that used and cost."""
    with traced(lambda turn: [STARTED, TextDelta("Hel"), *END]) as gateway:
        gateway.ask(max_tokens=7, temperature=0.5, session_id="s-1", reasoning_effort="none")
    span = gateway.spans.one("chat haiku")
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "haiku",
        "gen_ai.request.stream": False,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.reasoning.level": "none",
        "gen_ai.conversation.id": "s-1",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "claude_gateway.cost_usd": 0.5,
        "claude_gateway.session.resumed": False,
    }


def test_provider(monkeypatch):
    """It names the provider that Claude Code's variables choose."""
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    with traced() as gateway:
        gateway.ask()
    assert gateway.spans.one("chat").attributes["gen_ai.provider.name"] == "aws.bedrock"


def test_agent():
    """An agent's turn is an agent that is invoked."""
    with traced() as gateway:
        gateway.ask(claude={"profile": "agent"})
    span = gateway.spans.one("invoke_agent claude-code")
    assert span.kind is SpanKind.INTERNAL
    assert span.attributes["gen_ai.agent.name"] == "claude-code"


def test_lease():
    """How a turn got its process is a span below it."""
    with traced(lambda turn: [STARTED, *END]) as gateway:
        gateway.ask()
    turn, lease = gateway.spans.one("chat"), gateway.spans.one("lease")
    assert lease.parent == turn.context
    assert lease.start_time == turn.start_time
    assert lease.end_time - lease.start_time == 250_000_000
    assert lease.attributes == {
        "claude_gateway.lease.source": "warm",
        "claude_gateway.lease.configure_seconds": 0.125,
    }


def test_tools():
    """Each tool is a span below its turn, with its time and outcome."""
    denied = ToolUsed("mcp__x__y", "denied", 0.25, "toolu_2")
    steps = [STARTED, *READ, denied, ToolUsed("", "failed", 0.0), *END]
    with traced(lambda turn: steps) as gateway:
        gateway.ask(claude={"profile": "agent"})
    turn = gateway.spans.one("invoke_agent")
    read = gateway.spans.one("execute_tool Read")
    assert read.parent == turn.context
    assert read.end_time - read.start_time == 500_000_000
    assert read.status.status_code is StatusCode.UNSET
    assert dict(read.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "Read",
        "gen_ai.tool.type": "extension",
        "gen_ai.tool.call.id": "toolu_1",
        "claude_gateway.outcome": "done",
    }
    for name, outcome in (("mcp__x__y", "denied"), ("_OTHER", "failed")):
        span = gateway.spans.one(f"execute_tool {name}")
        assert (span.status.status_code, span.attributes["error.type"]) == (
            StatusCode.ERROR,
            outcome,
        )


def test_most_tools():
    """An agent that uses tools without end makes no endless trace."""
    steps = [STARTED, *[ToolUsed("Read", "done", 0.0)] * (MOST_TOOLS + 3), *END]
    with traced(lambda turn: steps) as gateway:
        gateway.ask(claude={"profile": "agent"})
    assert gateway.spans.names().count("execute_tool Read") == MOST_TOOLS
    assert gateway.spans.one("invoke_agent").attributes["claude_gateway.tools_omitted"] == 3


def test_stream():
    """A stream's turn says how long its first chunk took."""
    with traced(lambda turn: [0.05, *answer("Hello.")]) as gateway:
        gateway.ask(stream=True)
    attributes = gateway.spans.one("chat").attributes
    assert attributes["gen_ai.request.stream"] is True
    assert 0.05 <= attributes["gen_ai.response.time_to_first_chunk"] < 60


def test_several_answers():
    """Each of several answers is a turn of its own."""
    with traced() as gateway:
        gateway.ask(n=3)
    assert gateway.spans.names().count("chat haiku") == 3
    assert gateway.spans.names().count("POST /v1/chat/completions") == 1


def test_error():
    """A turn that fails has the code, what it used until then, and none of the caller's words."""
    error = BadAnswer("The answer is no JSON: a secret.", quote="a secret")
    with traced(lambda turn: [STARTED, END[0], error]) as gateway:
        gateway.ask()
    span = gateway.spans.one("chat")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == error.code
    assert span.attributes["gen_ai.usage.output_tokens"] == 9
    assert "a secret" not in gateway.spans.text()


def test_refused_in_the_queue():
    """A request that waits in vain has the span of its wait, and no turn."""
    entered, leave = threading.Event(), threading.Event()

    def script(turn):
        entered.set()
        leave.wait(60)
        return answer("Hello.")

    limits = {"max_concurrent_turns": 1, "max_queue": 1, "queue_timeout": 1}
    with traced(script, **limits) as gateway:
        first = threading.Thread(target=gateway.ask)
        first.start()
        entered.wait(60)
        assert gateway.ask().status_code == 429
        queue, root = gateway.spans.all()
        leave.set()
        first.join()
    assert (queue.name, queue.parent) == ("queue", root.context)
    assert queue.end_time - queue.start_time >= 900_000_000
    assert root.attributes["http.response.status_code"] == 429
    assert root.attributes["claude_gateway.outcome"] == "rate_limit_exceeded"


def test_without_prompts():
    """What callers, models and tools say is in no span."""
    with traced(lambda turn: [STARTED, TextDelta("a secret"), *READ, *END]) as gateway:
        gateway.ask("a secret", claude={"profile": "agent"}, session_id="s")
    assert "a secret" not in gateway.spans.text()


def test_with_prompts(monkeypatch):
    """With LOG_PROMPTS it is there, by the conventions, and secrets of the environment are not."""
    monkeypatch.setenv("SOME_API_KEY", "a secret")
    with traced(lambda turn: [STARTED, TextDelta("Yes, "), TextDelta("a secret"), *READ, *END],
                log_prompts=True) as gateway:  # fmt: skip
        gateway.ask("What is a secret?", claude={"profile": "agent"})
    turn = gateway.spans.one("invoke_agent").attributes
    assert json.loads(turn["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "What is ***?"}]}
    ]
    assert json.loads(turn["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Yes, ***"}],
            "finish_reason": "length",
        }
    ]
    tool = gateway.spans.one("execute_tool").attributes
    assert tool["gen_ai.tool.call.arguments"] == '{"file_path": "***"}'
    assert tool["gen_ai.tool.call.result"] == "*** result"
    assert "a secret" not in gateway.spans.text()


def test_with_prompts_of_messages():
    """It shows the answer of the Messages API, too."""
    with traced(lambda turn: raw_answer("Hello."), log_prompts=True) as gateway:
        body = {"model": "haiku", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi."}]}
        with gateway.app.test_client() as client:
            assert client.post("/v1/messages", json=body).status_code == 200
    attributes = gateway.spans.one("chat").attributes
    assert "Hello." in attributes["gen_ai.output.messages"]
    assert "Hi." in attributes["gen_ai.input.messages"]


def test_long_prompts():
    """Long conversations and answers are cut."""
    text = "x" * 7_000
    with traced(lambda turn: [STARTED, *[TextDelta(text)] * 4, *END], log_prompts=True) as gateway:
        roles = ("user", "assistant", "user")
        gateway.ask(messages=[{"role": role, "content": text} for role in roles])
    attributes = gateway.spans.one("chat").attributes
    assert len(attributes["gen_ai.output.messages"]) < 10_200
    assert len(json.loads(attributes["gen_ai.input.messages"])) == 1


def test_official_data_model():
    """The official exporter encodes all spans, with all of their attributes."""
    with traced(lambda turn: [STARTED, TextDelta("x"), *READ, *END], log_prompts=True) as gateway:
        gateway.ask(claude={"profile": "agent"}, stream=True)
    (resource,) = encode_spans(gateway.spans.all()).resource_spans
    (scope,) = resource.scope_spans
    assert scope.scope.name == "wrapper"
    made = {span.name: span for span in gateway.spans.all()}
    assert {span.name for span in scope.spans} == {
        "POST /v1/chat/completions",
        *("queue", "invoke_agent claude-code", "lease", "execute_tool Read"),
    }
    for span in scope.spans:
        assert {pair.key for pair in span.attributes} == set(made[span.name].attributes)


def test_brought_server():
    """A caller's own MCP server gets the trace; one of the operator gets nothing."""
    server = {"name": "mine", "url": "https://mcp.example.com/", "type": "http"}
    with traced(mcp_caller_hosts=("*",)) as gateway:
        response = gateway.ask(claude={"profile": "agent", "mcp_servers": [server]})
        assert response.status_code == 200, response.json
    root = gateway.spans.one("POST").context
    (asked,) = gateway.engine.turns[0].mcp_servers
    parent = asked.config["headers"]["traceparent"]
    assert parent.startswith(f"00-{root.trace_id:032x}-{root.span_id:016x}-0")


def test_nothing_is_left_running():
    """A gateway that has ended keeps no thread of its traces."""
    with traced() as gateway:
        gateway.ask()
    assert eventually(lambda: not [t for t in threading.enumerate() if "Otel" in t.name])
