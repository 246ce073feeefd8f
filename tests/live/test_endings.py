"""Every way in which a turn can end. None leaves anything behind."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket

import openai
import pytest

from tests.support.server import DEADLINE, MODEL, command_line, connected, eventually, started_for

PROFILES = ("plain", "agent")
CUT = "[[deltas 5]] [[stall 0.3]] [[cut]]"
SOON = 25.0  # half of the longest silence here, and many times what is promised


@pytest.fixture(scope="module")
def held(_gateway):
    """The gateway's resources at rest. Threads have a test of their own."""
    for profile in PROFILES:
        _gateway.ask("hello", claude={"profile": profile})
    seen = [_gateway.at_rest() for _ in range(10)]
    return {name: min(one[name] for one in seen) for name in seen[0] if name != "threads"}


@pytest.fixture(autouse=True)
def _nothing_is_left(gateway, held):
    """After each test the gateway holds no more processes, files and sockets than before."""
    yield
    assert gateway.comes_back_to(held)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stream", [False, True])
def test_length(gateway, upstream, profile, stream):
    """At max_tokens the answer ends, though Claude Code wants to go on."""
    thought = '[[usage {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 3}}]]'
    # A second request, which Claude Code may begin before it is ended, is not answered soon.
    asked = f"[[deltas 5]] [[stall 2]] {thought} [[stop max_tokens]]"
    more = {"max_tokens": 5, "claude": {"profile": profile}}
    if stream:
        events, _ = gateway.stream(asked, stream_options={"include_usage": True}, **more)
        text = "".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1])
        reason, usage = events[-2]["choices"][0]["finish_reason"], events[-1]["usage"]
    else:
        _, body = gateway.ask(asked, **more)
        choice, usage = body["choices"][0], body["usage"]
        text, reason = choice["message"]["content"], choice["finish_reason"]
    assert (text, reason) == ("w1 w2 w3 w4 w5", "length")
    assert usage["completion_tokens"] == 5
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 3
    if profile == "plain":
        assert usage["cost_usd"] > 0
        assert len(upstream.requests) == 1
    else:  # killed before it could say what the turn cost
        assert usage["cost_usd"] is None
        assert len(upstream.requests) <= 2


@pytest.mark.parametrize("profile", PROFILES)
def test_refusal(gateway, upstream, profile):
    """A refusal of the model is content_filter, and the model is asked once."""
    _, body = gateway.ask("[[deltas 3]] [[stop refusal]]", claude={"profile": profile})
    choice = body["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "w1 w2 w3")
    assert body["usage"]["completion_tokens"] == 3
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("reason", ["stop_sequence", "model_context_window_exceeded"])
def test_other_stops(gateway, upstream, reason):
    """Other stop reasons get OpenAI's names."""
    _, body = gateway.ask(f"[[deltas 3]] [[stop {reason}]]", claude={"profile": "plain"})
    expected = "stop" if reason == "stop_sequence" else "length"
    assert body["choices"][0]["finish_reason"] == expected
    assert len(upstream.requests) == 1


# The upstream's status; then our status, type, code, and how often Claude Code asks. After a 400 or
# 404 it asks again without the parts of the request that it had added by itself.
UPSTREAM_ERRORS = [
    (400, (400, "invalid_request_error", None, {"plain": 2, "agent": 3})),
    (401, (401, "authentication_error", "upstream_authentication_error", 1)),
    (403, (403, "permission_error", "permission_denied", 1)),
    (404, (404, "invalid_request_error", "model_not_found", 2)),
    (413, (413, "invalid_request_error", "request_too_large", 1)),
    (429, (429, "rate_limit_error", "rate_limit_exceeded", 1)),
    (500, (500, "server_error", None, 1)),
    (529, (503, "overloaded_error", "overloaded", 1)),
]


@pytest.mark.parametrize(("profile", "stream"), [("plain", True), ("agent", False)])
@pytest.mark.parametrize(("upstream_status", "expected"), UPSTREAM_ERRORS)
def test_upstream_errors(gateway, upstream, upstream_status, expected, stream, profile):
    """An upstream error is an error with the matching status, for streams too; never an answer."""
    status, body = gateway.ask(
        f"[[error {upstream_status}]]", stream=stream, claude={"profile": profile}
    )
    error = body["error"]
    *answer, asked = expected
    assert [status, error["type"], error["code"]] == answer
    assert set(error) == {"message", "type", "param", "code"}
    assert "127.0.0.1" not in error["message"]
    assert len(upstream.requests) == (asked[profile] if isinstance(asked, dict) else asked)


def test_retry_after(gateway):
    """If a retry can help, the answer has Retry-After."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "[[error 429]]"}]}
    status, headers, _ = gateway.call("POST", "/v1/chat/completions", body)
    assert status == 429
    assert int(headers["retry-after"]) > 0
    assert "x-should-retry" not in headers


def test_parameter_that_the_api_refuses(gateway, upstream):
    """A parameter that the model's API refuses is a 400 that names it."""
    asked = "[[error 400 temperature is not supported on this model]]"
    status, body = gateway.ask(asked, claude={"profile": "plain"})
    assert (status, body["error"]["param"]) == (400, "temperature")
    assert upstream.requests[-1].ended == "refused"


def test_unknown_model(gateway):
    """A model that the API does not know is OpenAI's 404."""
    status, body = gateway.ask("hello", model="claude-nonsense-9")
    assert (status, body["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("profile", PROFILES)
def test_prompt_too_long(gateway, profile):
    """A conversation over the context window is OpenAI's context_length_exceeded."""
    asked = "[[error 400 prompt is too long: 210000 tokens > 200000 maximum]]"
    status, body = gateway.ask(asked, claude={"profile": profile})
    error = body["error"]
    assert (status, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert error["message"].startswith("This model's maximum context length is")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("fault", ["[[cut]]", "[[break 529]]", "[[break 500]]"])
def test_broken_off(gateway, upstream, fault, profile):
    """An answer that breaks off is an error: a status, or an event without a finish_reason."""
    asked, more = f"[[deltas 5]] [[stall 0.3]] {fault}", {"claude": {"profile": profile}}
    status, body = gateway.ask(asked, **more)
    assert status >= 500, body
    assert len(upstream.requests) == 1
    events, raw = gateway.stream(asked, **more)
    assert events[1]["choices"][0]["delta"] == {"content": "w1"}
    assert set(events[-1]["error"]) == {"message", "type", "param", "code"}
    assert not any(e["choices"][0]["finish_reason"] for e in events[:-1])
    assert b"[DONE]" not in raw


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("[[deltas 5]] [[break 529]]", 503, "is overloaded: Overloaded"),
        ('[[tool Bash {"command": "echo a"}]] [[break 529]]', 503, "is overloaded: Overloaded"),
        ("[[deltas 5]] [[break 429]]", 429, "limits the rate: scripted rate limit"),
        ("[[deltas 5]] [[break 500]]", 500, "failed: Internal server error"),
        ("[[deltas 5]] [[break 529]] [[whole]]", 502, "broke off its answer: it is overloaded"),
        ("[[error 503 Down]]", 500, "failed with status 503: Down"),
        ("[[error 529 Busy]]", 503, "is overloaded: Busy"),
    ],
)
def test_reasons_are_passed_on(gateway, fault, status, reason, profile):
    """If the API tells why it fails, the client gets the reason."""
    got, body = gateway.ask(fault, claude={"profile": profile})
    message = body["error"]["message"]
    assert (got, reason in message, "127.0.0.1" in message) == (status, True, False), body


@pytest.mark.parametrize("profile", PROFILES)
def test_result_without_message(gateway, upstream, profile):
    """A turn without any message of the model is an error."""
    status, body = gateway.ask("[[void]]", claude={"profile": profile})
    assert (status, body["error"]["type"]) == (502, "server_error")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("text", ["", "  \n", "\t"])
def test_blank_prompt(gateway, upstream, text):
    """A blank prompt, which the API refuses, is named in a header and described to the model."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    status, headers, _ = gateway.call("POST", "/v1/chat/completions", body)
    assert (status, headers["x-adapted-messages"]) == (200, "messages.0.content")
    assert len(upstream.requests) == 1


@pytest.fixture(scope="module")
def retrying(_servers):
    return _servers(CLAUDE_CODE_MAX_RETRIES="2", POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()


def test_cli_retries(retrying, upstream):
    """Claude Code retries after an overload. For longer waits the client gets Retry-After."""
    status, body = retrying.ask("[[say at last]] [[error 529]] [[fail 1]]")
    assert (status, body["choices"][0]["message"]["content"]) == (200, "at last")
    assert len(upstream.requests) == 2
    for text, least, most in (
        ("[[error 429]] [[after 37]]", 37, 47),
        ("[[error 429]] [[after 300]]", 60, 60),
        ("[[deltas 5]] [[break 529]]", 5, 5),
    ):
        messages = [{"role": "user", "content": text}]
        body = {"model": MODEL, "messages": messages}
        _, headers, _ = retrying.call("POST", "/v1/chat/completions", body)
        assert least <= int(headers["retry-after"]) <= most, text


@pytest.mark.thorough
def test_retries_do_not_repeat_text(retrying, upstream):
    """A connection cut after the first words is an error, though Claude Code could retry."""
    events, _ = retrying.stream(CUT)
    texts = [e["choices"][0]["delta"].get("content") for e in events if "choices" in e]
    assert [text for text in texts if text] == ["w1"]
    assert "error" in events[-1]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stream", [False, True])
def test_process_killed(gateway, upstream, profile, stream):
    """A process that is killed in mid-turn is an error that must not be retried."""
    warm = set(gateway.claudes())
    body = {
        "model": MODEL,
        "stream": stream,
        "messages": [{"role": "user", "content": "[[deltas 3]] [[stall 50]]"}],
        "claude": {"profile": profile},
    }
    with socket.create_connection(("127.0.0.1", gateway.port), DEADLINE) as client:
        client.sendall(_request(body))
        said = b""
        while stream and b'"w1"' not in said:
            said += client.recv(65536)
        assert upstream.wait_for(bool)
        os.kill(eventually(lambda: connected(warm)), signal.SIGKILL)
        while b"bad_gateway" not in said:
            said += client.recv(65536)
    if stream:
        assert b'data: {"error":' in said
        assert b"[DONE]" not in said
    else:
        assert said.startswith(b"HTTP/1.1 502 ")
        assert b"x-should-retry: false" in said
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("silence", ["[[wait 50]]", "[[deltas 2]] [[stall 50]]"])
def test_timeout(timed, upstream, profile, silence):
    """A turn beyond MAX_TIMEOUT ends with a 504, and its upstream request ends."""
    timed.at_rest()  # so that the turn does not wait for a process
    status, body = timed.ask(silence, claude={"profile": profile})
    assert (status, body["error"]["code"]) == (504, "timeout")
    assert upstream.wait_for(lambda seen: seen[-1].ended == "aborted", SOON)


def test_timeout_in_a_stream(timed, upstream):
    """A stream beyond MAX_TIMEOUT ends with an error event."""
    timed.at_rest()
    events, raw = timed.stream("[[deltas 2]] [[stall 50]]")
    assert events[-1]["error"]["code"] == "timeout"
    assert b"[DONE]" not in raw
    assert upstream.wait_for(lambda seen: seen[-1].ended == "aborted", SOON)


@pytest.fixture(scope="module")
def timed(_servers):
    return _servers(MAX_TIMEOUT="4000").wait()


def test_errors_after_the_start_are_not_retried(gateway):
    """Once the model has begun, an error tells the client not to retry."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": CUT}]}
    _, headers, _ = gateway.call("POST", "/v1/chat/completions", body)
    assert headers["x-should-retry"] == "false"


def test_the_client_library_asks_once(gateway, upstream):
    """OpenAI's client, which retries by itself, obeys that."""
    client = openai.OpenAI(base_url=gateway.url, api_key="unused")
    with client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": CUT}])
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("silence", ["[[wait 50]]", "[[deltas 3]] [[stall 50]]"])
def test_client_gone(gateway, upstream, profile, stream, silence):
    """If the client disconnects, its turn and the upstream request end at once."""
    body = {
        "model": MODEL,
        "stream": stream,
        "messages": [{"role": "user", "content": silence}],
        "claude": {"profile": profile},
    }
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(_request(body))
        assert upstream.wait_for(bool)
    assert upstream.wait_for(lambda seen: seen[0].ended == "aborted", SOON)
    assert len(upstream.requests) == 1


def test_client_gone_while_waiting_for_a_process(serve, upstream):
    """If the client disconnects before its turn has a process, the model is not asked."""
    server = serve(POOL_SIZE="0", POOL_SIZE_OTHER="0").wait()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(_request(body))
        assert eventually(lambda: server.health()["pools"]["agent"]["booting"])
    server.at_rest()
    assert not upstream.requests


def _request(body):
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def test_bash_is_ended_with_its_turn(serve, upstream):
    """Commands of a tool end with their turn, background ones too."""
    server = serve(
        CLAUDE_ALLOWED_TOOLS="Bash",
        ALLOW_UNSANDBOXED_BASH="true",
        POOL_SIZE="1",
        POOL_SIZE_OTHER="0",
    ).wait()
    command = {"command": "setsid sleep 301 & sleep 300", "timeout": 400_000}
    asked = f"[[tool Bash {json.dumps(command)}]]"
    body = {"model": MODEL, "messages": [{"role": "user", "content": asked}]}
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(_request(body))
        assert upstream.wait_for(bool)
        assert eventually(lambda: _sleepers(server) == {"sleep 300", "sleep 301"})
    assert eventually(lambda: not _sleepers(server), SOON)


def _sleepers(server):
    """Return the commands that the server's agents run."""
    lines = {command_line(pid).strip() for pid in started_for(server.folder)}
    return {line for line in lines if line.startswith("sleep")}


def test_heartbeats(gateway):
    """A stream that is silent for ten seconds gets a comment, then its answer."""
    events, raw = gateway.stream("[[say Sorry.]] [[wait 10.6]]", claude={"profile": "plain"})
    assert raw.startswith(b": ping\n\n")
    assert events[1]["choices"][0]["delta"] == {"content": "Sorry."}


@pytest.mark.thorough
def test_many_turns_leave_nothing(serve):
    """After many turns of every kind there are no more threads and files than after a few."""
    server = serve(POOL_SIZE="1", POOL_SIZE_OTHER="1").wait()

    def work():
        turns = ("hello", "[[error 429]]", "[[stop max_tokens]] [[deltas 3]]", "[[cut]]", "hello")
        for asked, profile in zip(turns, itertools.cycle(PROFILES), strict=False):
            server.ask(asked, claude={"profile": profile})
            server.call("POST", "/v1/chat/completions", {"messages": []})

    for _ in range(3):
        work()
    before = server.at_rest()
    before["threads"] += 4  # how many are needed at once varies; a leak would be many more
    work()
    assert server.comes_back_to(before)
