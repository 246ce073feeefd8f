"""A `claude` whose API is the gateway: it works as it does on the model's API itself."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support import cli
from tests.support.server import DEADLINE

KEY = "the-key"
MODEL = "claude-sonnet-5-5"
# Those that this client asks for beside what the gateway's own Claude Code sends.
BETAS = ("per-turn-control-2026-07-01", "thinking-display-updates-2026-08-18")
LOOP = (
    '[[think Hm.]] [[tool Bash {"command": "echo one"}]] [[tool Bash {"command": "echo two"}]] '
    "[[result]]"
)


@pytest.fixture(scope="module")
def keyed(_servers):
    """A gateway with a key, for clients that are Claude Code themselves."""
    return _servers(
        API_KEY=KEY, MESSAGES_BETAS=",".join(BETAS), DEFAULT_PROFILE="plain", POOL_SIZE_OTHER="0"
    ).wait()


@pytest.fixture
def run_claude(tmp_path):
    """Return a function that gives a `claude` a prompt, and returns its messages."""

    def run(url: str, prompt: str) -> list[dict[str, Any]]:
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "ANTHROPIC_BASE_URL": url.removesuffix("/v1"),
            "ANTHROPIC_AUTH_TOKEN": KEY,
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }
        done = subprocess.run(
            [
                *(cli.current(), "-p", "--model", MODEL, "--tools", "Bash", "--allowedTools"),
                *("Bash", "--no-session-persistence", "--output-format", "stream-json"),
                *("--verbose", "--include-partial-messages", prompt),
            ],
            cwd=tmp_path,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def body_of(request):
    """Return a request's body without the id of the client's session, which each run makes up."""
    body = dict(request.body)
    user = json.loads(body.pop("metadata")["user_id"])
    return {**body, "device": user["device_id"]}


def requests_of(server, log_before):
    """Return how many requests the gateway has logged since *log_before*."""
    return server.log()[len(log_before) :].count(" outcome=")


def test_tool_loop(keyed, upstream, run_claude):
    """A tool loop of several rounds ends as on the API, which gets the same bodies, and betas."""
    messages = run_claude(keyed.url, LOOP)
    assert (messages[-1]["result"], messages[-1]["num_turns"]) == ("two", 3)
    assert any(message["type"] == "stream_event" for message in messages)
    through = [body_of(request) for request in upstream.requests]
    assert len(through) == 3
    betas = upstream.requests[0].headers["Anthropic-Beta"].split(",")
    assert {*BETAS, "effort-2025-11-24"} <= {*betas}
    del upstream.requests[:]
    assert run_claude(upstream.url, LOOP)[-1]["result"] == "two"
    assert through == [body_of(request) for request in upstream.requests]


ERRORS = {
    "overload": "[[error 529]]",
    "rate": "[[error 429]]",
    "refused": "[[error 400 what is this]]",
    "login": "[[error 401]]",
    "failure": "[[error 500]]",
}


@pytest.mark.parametrize("prompt", ERRORS.values(), ids=ERRORS)
def test_retries(keyed, upstream, run_claude, prompt):
    """After an error the client asks the gateway as often as it asks the API."""
    before = keyed.log()
    through = run_claude(keyed.url, prompt)[-1]
    asked = requests_of(keyed, before)
    del upstream.requests[:]
    direct = run_claude(upstream.url, prompt)[-1]
    assert asked == len(upstream.requests)
    assert (through["is_error"], direct["is_error"]) == (True, True)


def test_too_long(keyed, upstream, run_claude):
    """The client knows that its prompt is too long, and does not ask again."""
    before = keyed.log()
    prompt = "[[error 400 prompt is too long: 210000 tokens > 200000 maximum]]"
    result = run_claude(keyed.url, prompt)[-1]["result"]
    assert result.startswith("Prompt is too long")
    assert requests_of(keyed, before) == 1


def test_error_in_mid_stream(keyed, upstream, run_claude):
    """After an error in mid-stream, the client continues with an answer of its own kind."""
    result = run_claude(keyed.url, "[[deltas 9]] [[break 529]]")[-1]
    assert result["is_error"] is False


def test_greeting(keyed):
    """What Claude Code asks first is not found, and nothing crashes."""
    for path in ("/", "/api/hello"):
        assert keyed.call("HEAD", path)[0] == 404
    assert "Traceback" not in keyed.log()


def test_models(keyed):
    """Claude Code finds the gateway's models where it looks for those of its API."""
    status, _, data = keyed.call("GET", "/v1/models?limit=1000", headers={"x-api-key": KEY})
    listed = json.loads(data)["data"]
    assert status == 200
    assert [model["id"] for model in listed if model["id"].startswith("claude")]
    assert {model["type"] for model in listed} == {"model"}
