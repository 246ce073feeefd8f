"""Every response that the gateway sends matches the OpenAPI document."""

import json

import pytest
from flask import Flask

from tests.support.pool_harness import PoolHarness
from tests.support.response_validator import ResponseValidator
from tests.support.scripted_server import (
    BODY_LIMIT,
    CHAT_BODY,
    DONE,
    HOUR,
    KEY,
    USER,
    ScriptedServer,
    frames_of,
)
from wrapper import Gateway, errors
from wrapper.schemas.auth import AccountSchema
from wrapper.schemas.chat import response as response_schemas
from wrapper.services.claude.engine import ClaudeEngine
from wrapper.services.claude.status import ACCOUNT_FIELDS
from wrapper.services.events import (
    Ended,
    Ending,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    ToolUsed,
)
from wrapper.services.fronts.chat import FINISH_REASONS
from wrapper.services.principal import Principal
from wrapper.services.spent import Usage
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

CHAT, MODEL = "/v1/chat/completions", "/v1/models/{model_id}"
SESSIONS, SESSION = "/v1/sessions", "/v1/sessions/{session_id}"
STATS = "/v1/sessions/stats"
TOOL = (ToolUse("Bash", "ls", "t1"), ToolUsed("Bash", "done", 0.5, "t1", "a file"))
BEGUN = (Started("m"), ReasoningDelta("Hm"), *TOOL, TextDelta("a"))
USED = Usage(input=1, cache_read=2, cache_creation=3, output=4, reasoning=5)
RICH = (*BEGUN, Ended(Ending.DONE, USED, 0.5))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("steps", "fields"),
    [
        ((), {}),
        (RICH, {"claude": {"show_tool_use": True}, "service_tier": "auto"}),
        (RICH, {"n": 2, "model": "claude-3-5-haiku-20241022"}),
        ((Started("m"), Ended(Ending.LENGTH, USED, None)), {}),
        ((Started("m"), Ended(Ending.REFUSED, USED, None)), {}),
    ],
)
def test_completions(stream, steps, fields):
    """Completions, whole and streamed, match the document."""
    server = ScriptedServer(*steps)
    options = [{}, {"include_usage": True}] if stream else [None]
    for option in options:
        response = server.ask(stream=stream, stream_options=option, **fields)
        assert response.status_code == 200
        ResponseValidator(server.app).check(response, CHAT, "post")


def test_broken_stream():
    """The error that ends a stream matches the document's events."""
    server = ScriptedServer(*BEGUN, errors.BadGateway("It died."))
    response = server.ask(stream=True)
    assert "error" in frames_of(response)[-1]
    ResponseValidator(server.app).check(response, CHAT, "post")


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest("No.", param="temperature"),
        errors.UpstreamAuthentication("No login."),
        errors.PermissionDenied("Not this."),
        errors.ModelNotFound("None."),
        errors.RequestTooLarge("Too much."),
        errors.RateLimited("Slow.", retry_after=5),
        errors.UpstreamFailed("It failed.", retry=False),
        errors.BadGateway("It died.", retry=False),
        errors.Overloaded("Slow.", retry_after=5, retry=True),
        errors.Unavailable("Closing.", retry=False),
        errors.TimedOut("Late.", retry=False),
        KeyError("x"),
    ],
)
def test_errors_of_a_turn(error):
    """The status, headers and body of every error of a turn match the document."""
    server = ScriptedServer(error)
    response = server.ask()
    assert response.status_code == getattr(error, "status", 500)
    ResponseValidator(server.app).check(response, CHAT, "post")


@pytest.mark.parametrize(
    ("send", "status"),
    [
        (lambda server: server.post({}), 400),
        (lambda server: server.post("{"), 400),
        (lambda server: server.ask(model="gpt-4"), 404),
        (lambda server: server.post("x" * (BODY_LIMIT + 1)), 413),
        (lambda server: server.post("{}", content_type="text/plain"), 415),
        (lambda server: server.ask(headers={"Origin": "https://evil.example"}), 403),
    ],
)
def test_refused_requests(send, status):
    """A refusal before the turn matches the document."""
    server = ScriptedServer()
    response = send(server)
    assert response.status_code == status
    ResponseValidator(server.app).check(response, CHAT, "post")


@pytest.mark.parametrize(("requests", "tokens"), [(1, 9), (9, 1)])
def test_over_the_rate(requests, tokens):
    """The rate limit headers of answers and of refusals match the document."""
    app = Flask(__name__)
    caller = Principal("alice", requests_per_minute=requests, tokens_per_minute=tokens)
    engine = ScriptedEngine()
    Gateway(Settings(), engine=engine, authenticate=lambda asked: caller).init_app(app)
    asked = {"messages": [USER]}
    for status in (200, 429):
        response = app.test_client().post(CHAT, json=asked)
        assert response.status_code == status
        assert "x-ratelimit-remaining-requests" in response.headers
        ResponseValidator(app).check(response, CHAT, "post")


def test_full():
    """The error of a full gateway has Retry-After, and matches the document."""
    server = ScriptedServer(Started("m"), HOUR, max_concurrent_turns=1, max_queue=0)
    running = server.client.post(CHAT, json={**CHAT_BODY, "stream": True})
    response = server.ask()
    running.close()
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    ResponseValidator(server.app).check(response, CHAT, "post")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        *((CHAT, "post"), ("/v1/models", "get"), (MODEL, "get"), ("/v1/auth/status", "get")),
        *((SESSIONS, "get"), (STATS, "get"), (SESSION, "get"), (SESSION, "delete")),
    ],
)
def test_no_key(path, method):
    """The error of a missing key matches the document, for every operation that needs one."""
    server = ScriptedServer(api_key=KEY)
    response = server.client.open(path, method=method)
    assert response.status_code == 401
    ResponseValidator(server.app).check(response, path, method)


def test_wrong_method():
    """The error of a wrong method matches the document, for every path."""
    server = ScriptedServer()
    validator = ResponseValidator(server.app)
    for path, methods in validator.document["paths"].items():
        response = server.client.patch(path)
        assert response.status_code == 405
        validator.check(response, path, next(iter(methods)))


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/v1/models", "/v1/models", 200),
        (MODEL, "/v1/models/sonnet", 200),
        (MODEL, "/v1/models/claude-3-5-haiku-20241022", 200),
        (MODEL, "/v1/models/anthropic/claude-x", 200),
        (MODEL, "/v1/models/gpt-4", 404),
        ("/v1/auth/status", "/v1/auth/status", 200),
        ("/health", "/health", 200),
        ("/v1/health", "/v1/health", 200),
        ("/openapi.json", "/openapi.json", 200),
        ("/v1/openapi.json", "/v1/openapi.json", 200),
    ],
)
def test_reading(path, asked, status):
    """The responses of the GET routes match the document."""
    server = ScriptedServer()
    response = server.client.get(asked)
    assert response.status_code == status
    ResponseValidator(server.app).check(response, path)


@pytest.mark.parametrize("begun", [False, True])
def test_sessions(begun):
    """The responses about sessions match the document, with and without sessions."""
    server = ScriptedServer(*RICH)
    if begun:
        ResponseValidator(server.app).check(server.ask(session_id="s"), CHAT, "post")
    asked = [("get", SESSIONS), ("get", STATS), ("get", SESSION), ("delete", SESSION)]
    for method, path in asked:
        response = server.client.open(path.format(session_id="s"), method=method)
        assert response.status_code == (200 if begun or path != SESSION else 404)
        ResponseValidator(server.app).check(response, path, method)


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("get", SESSIONS, f"{SESSIONS}?limit=0"),
        ("get", SESSION, f"{SESSIONS}/.."),
        ("delete", SESSION, f"{SESSIONS}/a%0A"),
    ],
)
def test_wrong_questions_about_sessions(method, path, asked):
    """The errors of requests about sessions match the document."""
    server = ScriptedServer()
    response = server.client.open(asked, method=method)
    assert response.status_code == 400
    ResponseValidator(server.app).check(response, path, method)


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", SESSIONS), ("get", STATS), ("get", SESSION), ("delete", SESSION), ("post", CHAT)],
)
def test_no_sessions(method, path):
    """The error of a gateway without sessions matches the document."""
    server = ScriptedServer(session_store="none")
    asked = {"messages": [USER], "session_id": "s"} if method == "post" else None
    response = server.client.open(path.format(session_id="s"), method=method, json=asked)
    assert response.status_code == 400
    ResponseValidator(server.app).check(response, path, method)


class _Told(ScriptedEngine):
    """An engine that reports the health and status that it is given."""

    def __init__(self, health, described):
        super().__init__()
        self.told = health, described

    def health(self):
        return self.told[0]

    def describe(self):
        return self.told[1]


def told_by(health, described=None):
    server = ScriptedServer()
    server.app.extensions["wrapper"].engine = _Told(health, described)
    return server


def test_health_of_pools():
    """The health of Claude Code's pools, ready or failing, matches the document."""
    pools = {
        "agent": PoolHarness(1).fill().pool.health(),
        "plain": PoolHarness(1).fail().fill().pool.health(),
    }
    assert "error" in pools["plain"]
    warm_up = {"plain": {"status": "on"}, "agent": {"status": "off", "error": "It differs."}}
    report = {"pools": pools, "warm_up": warm_up, "ignored_frames": {"new_kind": 2}}
    for status in ("ok", "starting", "degraded", "failing"):
        server = told_by({"status": status, **report})
        response = server.client.get("/health")
        assert response.status_code == (503 if status == "failing" else 200)
        ResponseValidator(server.app).check(response, "/health")


def test_real_engine(tmp_path):
    """The health and status of the Claude Code engine match the document."""
    settings = Settings(claude_cli_path=str(tmp_path / "nothing"))
    engine = ClaudeEngine(settings, {"HOME": str(tmp_path)})
    described, health = engine.describe(), engine.health()
    engine.close()
    assert described["cli"]["error"]
    account = dict.fromkeys(ACCOUNT_FIELDS.values(), "x")
    server = told_by(health, {**described, "account": account})
    ResponseValidator(server.app).check(server.client.get("/health"), "/health")
    ResponseValidator(server.app).check(server.client.get("/v1/auth/status"), "/v1/auth/status")


def test_words():
    """The document lists every finish reason and every field of an account."""
    assert {*FINISH_REASONS.values(), "function_call"} == set(response_schemas.FINISH_REASONS)
    assert set(ACCOUNT_FIELDS.values()) == set(AccountSchema().fields)


def test_judge():
    """The validator refuses properties, headers and statuses that the document does not have."""
    server = ScriptedServer(*BEGUN, DONE)
    validator, response = ResponseValidator(server.app), server.ask(messages=[USER])
    validator.check(response, CHAT, "post")
    body = response.json
    schema = validator.schema(CHAT, "post", 200, "application/json")
    assert not schema.is_valid({**body, "new": 1})
    assert not schema.is_valid({**body, "usage": {**body["usage"], "new": 1}})
    assert not schema.is_valid({**body, "usage": {}})
    response.headers["x-new"] = "1"
    with pytest.raises(AssertionError):
        validator.check(response, CHAT, "post")
    response = server.ask()
    response.status_code, response.data = 418, json.dumps(body)
    with pytest.raises(KeyError):
        validator.check(response, CHAT, "post")
