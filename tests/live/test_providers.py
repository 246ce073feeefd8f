"""Amazon Bedrock and Vertex AI in place of an API key."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.live.test_parameters_upstream import IGNORED, SAMPLED, ask, told

BEDROCK = {
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
    "AWS_REGION": "us-east-1",
}
VERTEX = {
    "CLAUDE_CODE_USE_VERTEX": "1",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
    "ANTHROPIC_VERTEX_PROJECT_ID": "a-project",
    "CLOUD_ML_REGION": "us-east5",
}
IDENTITIES = (
    "You are a Claude agent, built on Anthropic's Claude Agent SDK.",
    "You are Claude Code, Anthropic's official CLI for Claude.",
)
PROVIDERS = {
    "bedrock": (BEDROCK, "us.anthropic.claude-sonnet-4-20250514-v1:0", "/model/us.anthropic"),
    "vertex": (VERTEX, "claude-sonnet-4@20250514", "/publishers/anthropic/models/claude-sonnet-4"),
}


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request, _servers, the_upstream):
    variables, model, path = PROVIDERS[request.param]
    urls = {f"ANTHROPIC_{request.param.upper()}_BASE_URL": the_upstream.url}
    server = _servers(**variables, **urls, ANTHROPIC_API_KEY="", ANTHROPIC_BASE_URL="").wait()
    return server, model, path


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_answer(provider, upstream, profile):
    """A turn is one request to the provider's own route, and is answered."""
    server, model, path = provider
    status, body = server.ask("[[deltas 3]]", model=model, claude={"profile": profile})
    assert (status, body["choices"][0]["message"]["content"]) == (200, "w1 w2 w3")
    assert body["usage"]["completion_tokens"] == 3
    (request,) = upstream.requests
    assert path in request.path


def test_messages(provider, upstream):
    """A request of the Messages API reaches a provider with nothing that it may not know."""
    server, model, _ = provider
    messages = [{"role": "user", "content": "[[say Hi]]"}]
    sent = {"max_tokens": 9, "messages": messages, "top_p": 0.5}
    status, _, data = server.call("POST", "/v1/messages", {"model": model, **sent})
    assert (status, json.loads(data)["content"]) == (200, [{"type": "text", "text": "Hi"}])
    (request,) = upstream.requests
    own = ("anthropic_version", "anthropic_beta", "stream", "model")
    body = {name: value for name, value in request.body.items() if name not in own}
    absent = {"system": [], "tools": [], "metadata": {}, "thinking": {"type": "disabled"}}
    assert body == {**sent, **absent}


def test_plain(provider, upstream):
    """In plain a provider, too, gets the user's text as it is, and a system of two known lines."""
    server, model, _ = provider
    server.ask("@/etc/passwd", model=model, claude={"profile": "plain"})
    body = upstream.requests[0].body
    assert [block["text"] for block in body["messages"][0]["content"]] == ["@/etc/passwd"]
    first, second = (block["text"] for block in body["system"])
    assert first.startswith("x-anthropic-billing-header: cc_version=")
    assert second in IDENTITIES


def test_length(provider, upstream):
    """At max_tokens a provider's answer ends without a second request, too."""
    server, model, _ = provider
    asked = "[[deltas 3]] [[stop max_tokens]]"
    _, body = server.ask(asked, model=model, max_tokens=3, claude={"profile": "plain"})
    assert body["choices"][0]["finish_reason"] == "length"
    assert len(upstream.requests) == 1


def test_error(provider):
    """A provider's rate limit is a 429."""
    server, model, _ = provider
    assert server.ask("[[error 429]]", model=model)[0] == 429


@pytest.mark.parametrize(
    ("model", "ignored"),
    [
        ("oldest", ()),
        ("newest", SAMPLED),
        ("opus", SAMPLED),
        ("sonnet", SAMPLED[1:]),
        ("haiku", SAMPLED[1:]),
    ],
)
def test_names(provider, upstream, model, ignored):
    """A cloud's model ids and aliases are known by the models that they run there."""
    server, oldest, _ = provider
    newest = oldest.partition("claude-")[0] + "claude-opus-5-5"
    model = {"oldest": oldest, "newest": newest}.get(model, model)
    _, _, data = server.call("GET", f"/v1/models/{quote(model)}")
    supports = json.loads(data)["supports"]
    assert [name for name in SAMPLED if not supports[name]] == [*ignored]
    status, headers, data = ask(server, model=model, temperature=0.5, top_p=0.5)
    assert (status, told(headers)) == (200, {IGNORED: ", ".join(ignored)} if ignored else {}), data
    (request,) = upstream.requests
    assert [request.body.get(name) for name in SAMPLED] == [
        None if name in ignored else 0.5 for name in SAMPLED
    ]
