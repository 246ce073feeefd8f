"""What a server writes to its log."""

from __future__ import annotations

import json

import pytest

from tests.live.server import eventually

PROMPT = "the quick brown fox"


def lines_of(server):
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def logging_json(_servers):
    return _servers(LOG_FORMAT="json", LOG_LEVEL="debug", POOL_SIZE_OTHER="0").wait()


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [("[[say Hi]]", "done"), ("[[error 429]]", "rate_limit_exceeded"), ("", None)],
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


def test_frames(logging_json):
    """At debug level the frames are shown, without what anybody wrote in them."""
    logging_json.ask(f"[[say xylophone]] {PROMPT}")
    frames = [line["frame"] for line in lines_of(logging_json) if "frame" in line]
    assert {"user", "control_request", "stream_event", "result"} <= {f["type"] for f in frames}
    assert PROMPT not in logging_json.log()
    assert "xylophone" not in logging_json.log()
    assert "sk-test" not in logging_json.log()


@pytest.mark.parametrize("prompts", ["true", "false"])
def test_prompts(serve, prompts):
    """What callers wrote is in the log only with LOG_PROMPTS."""
    server = serve(LOG_PROMPTS=prompts, POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    server.ask(PROMPT)
    assert eventually(lambda: "outcome=done" in server.log())
    assert (PROMPT in server.log()) is (prompts == "true")
