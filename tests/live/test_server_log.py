"""What a server writes to its log."""

from __future__ import annotations

import base64
import itertools
import json
import re

import pytest

from tests.support import cli
from tests.support.server import eventually
from wrapper.version import __version__

PROMPT = "the quick brown fox"


def lines_of(server):
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def logging_json(_servers):
    return _servers(LOG_FORMAT="json", LOG_LEVEL="debug", POOL_SIZE_OTHER="0").wait()


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [("[[say Hi]]", "done"), ("[[error 429]]", "rate_limit_exceeded"), (None, None)],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_line_a_request(logging_json, asked, outcome, stream):
    """Each request is one line with its id, model, tokens, dollars, times and outcome."""
    name = f"id-{outcome}-{stream}"
    messages = [{"role": "user", "content": asked and f"{asked} {PROMPT}"}]
    body = {"model": "claude-sonnet-4-20250514", "messages": messages, "stream": stream}
    logging_json.call("POST", "/v1/chat/completions", body, {"x-request-id": name})
    told = eventually(lambda: [line for line in lines_of(logging_json) if line.get("id") == name])
    assert len(told) == 1
    (line,) = told
    assert line["outcome"] == (outcome or "invalid_value")
    if outcome == "done":
        assert line["completion_tokens"] == 1
        assert line["cost_usd"] > 0
        assert 0 < line["first_token_ms"] <= line["total_ms"]
        assert line["model"] == "claude-sonnet-4-20250514"


def test_start_line(logging_json):
    """One line at the start says what serves, where, and with which login, stores and keys."""
    (line,) = [line for line in lines_of(logging_json) if line["message"] == "started"]
    assert line["address"] == f"http://127.0.0.1:{logging_json.port}"
    assert (line["cli"], line["cli_version"]) == (cli.current(), cli.version())
    assert line["login"] == "anthropic (ANTHROPIC_API_KEY is set)"
    assert line["profiles"] == "agent (default, 1 warm), plain (0 warm)"
    assert (line["sessions"], line["rates"], line["keys"]) == ("memory", "memory", "none")
    assert line["usage"].endswith("usage.db")
    assert line["version"] == __version__


@pytest.mark.parametrize("stream", [True, False])
def test_failed_turn(logging_json, stream):
    """A failed turn is a warning with its status, reason, session and client, without their words.

    No word of the model's API can forge a line, nor does it get into the log.
    """
    name, forged = f"id-failed-{stream}", "x\\n2026-01-01 00:00:00 INFO forged: request"
    body = {
        "model": "claude-sonnet-4-20250514",
        "messages": [{"role": "user", "content": f"[[error 500 {forged}]] {PROMPT}"}],
        "stream": stream,
        "session_id": f"failing-{stream}",
    }
    logging_json.call("POST", "/v1/chat/completions", body, {"x-request-id": name})
    (line,) = eventually(
        lambda: [line for line in lines_of(logging_json) if line.get("id") == name]
    )
    assert (line["level"], line["message"], line["status"]) == ("warning", "request", 500)
    assert line["error"].startswith("The model's API failed: <")
    assert (line["session"], line["stream"]) == (f"failing-{stream}", stream)
    assert line["client"] == "127.0.0.1"
    assert "forged" not in logging_json.log()


def test_every_line_has_the_format(serve):
    """With LOG_FORMAT=json each line is an object, also gunicorn's, and those about requests."""
    arguments = ("--access-logfile", "-")
    server = serve(*arguments, LOG_FORMAT="json", POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    server.call("GET", "/nothing")
    server.call("BAD METHOD", "/")
    server.stop()
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert {"gunicorn.error", "gunicorn.access", "wrapper.routes.error_handlers"} <= {
        line["logger"] for line in lines
    }
    assert all(line["level"] and line["time"] and line["message"] for line in lines)


def test_access_log_has_the_format(serve):
    """On a console a line of the access log has its time and level, as all lines have."""
    arguments = ("--access-logfile", "-")
    server = serve(*arguments, POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    server.stop()
    start = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) +[\w.]+: .+")
    lines = server.log().splitlines()
    assert "gunicorn.access" in server.log()
    assert [line for line in lines if not start.fullmatch(line)] == []


def test_frames(logging_json):
    """At debug level frames are logged without their texts."""
    logging_json.ask(f"[[say xylophone]] {PROMPT}")
    frames = [line["frame"] for line in lines_of(logging_json) if "frame" in line]
    assert {"user", "control_request", "stream_event", "result"} <= {f["type"] for f in frames}
    assert PROMPT not in logging_json.log()
    assert "xylophone" not in logging_json.log()
    assert "sk-test" not in logging_json.log()


def conversation(secret, answer):
    """Return a request with a different secret in each text field."""
    call = {
        "id": f"call_{secret()}",
        "type": "function",
        "function": {"name": "look", "arguments": json.dumps({secret(): secret()})},
    }
    schema = {"type": "object", "title": secret(), "properties": {secret(): {"enum": [secret()]}}}
    function = {"name": "look", "description": secret(), "parameters": schema}
    text = {"type": "text", "text": secret()}
    data = base64.b64encode(secret().encode()).decode()
    file = {"filename": f"{secret()}.txt", "file_data": f"data:text/plain;base64,{data}"}
    return {
        "messages": [
            {"role": "system", "content": secret()},
            {"role": "user", "name": f"n{secret()}", "content": [text]},
            {"role": "assistant", "content": secret(), "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": secret()},
            {"role": "user", "content": [{"type": "file", "file": file}, text]},
            {"role": "user", "content": f"{answer} {secret()}"},
        ],
        "tools": [{"type": "function", "function": function}],
        "stop": [secret()],
        "user": secret(),
        "metadata": {secret(): secret()},
    }


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_words_at_debug_level(logging_json, remembering, format_):
    """Text of callers, models, tools and files is not in the log at any level."""
    server = logging_json if format_ == "json" else remembering
    numbers = itertools.count(1000)
    prefix = f"canary{format_}"

    def secret():
        return f"{prefix}{next(numbers)}"

    send_secrets(server, secret)
    send_secrets_to_tools(server, secret)
    send_invalid_secrets(server, secret)
    assert eventually(lambda: server.log().count("request") > 10)
    assert [line for line in server.log().splitlines() if prefix in line] == []


def send_secrets(server, secret):
    """Ask with secrets in every text of the request and of the model's answer."""

    def ask(answer, **more):
        return server.ask("", **{**conversation(secret, answer), **more})[0]

    shape = {"name": "shape", "schema": {"type": "object", "required": [secret()]}, "strict": True}
    answers = (
        f"[[say {secret()}]]",
        f'[[tool look {{"{secret()}": "{secret()}"}}]]',
        f"[[think {secret()}]] [[say x]]",
        f"[[error 400 {secret()}]]",
        f"[[error 500 {secret()}]]",
        f"[[stop {secret()}]]",
    )
    assert [ask(answer) for answer in answers] == [200, 200, 200, 400, 500, 502]
    ask(
        f'[[json {{"{secret()}": "{secret()}"}}]]',
        response_format={"type": "json_schema", "json_schema": shape},
    )
    ask("[[say x]]", temperature=secret(), **{secret(): secret()})


def send_secrets_to_tools(server, secret):
    """Let tools read secrets from a file, fail on them and print them."""
    file = server.folder / f"{secret()}.txt"
    file.write_text(secret())
    for command in (f"cat {file}", f"nothing {secret()}", f"echo {secret()}"):
        server.ask(f"[[tool Bash {json.dumps({'command': command})}]] [[say {secret()}]]")
    server.ask(f"[[tool Read {json.dumps({'file_path': str(file)})}]] [[say {secret()}]]")


def send_invalid_secrets(server, secret):
    """Send requests that are refused for their secrets, or are no JSON."""
    server.ask(secret(), session_id="logged", claude={"allowed_tools": [secret()]})
    server.ask(secret(), session_id="logged", claude={"prefill": secret()})
    server.call("POST", "/v1/chat/completions", b'{"messages": "' + secret().encode())
    server.call("POST", f"/v1/chat/completions?{secret()}={secret()}", {secret(): secret()})


def test_prompts(serve):
    """With LOG_PROMPTS prompts are logged; without it test_no_words_at_debug_level finds none."""
    server = serve(LOG_PROMPTS="true", POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    server.ask(PROMPT)
    assert eventually(lambda: "outcome=done" in server.log())
    assert PROMPT in server.log()
