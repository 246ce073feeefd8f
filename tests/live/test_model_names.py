"""Models: which are listed, and which one a name runs."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.support.altered_claude import KNOWS_NEWER_MODEL, altered
from tests.support.server import MODEL
from wrapper.services.catalog import LEGACY


@pytest.fixture(scope="module")
def remapping(_servers):
    aliases = "gpt-4o=sonnet, fast = haiku"
    return _servers(LEGACY_MODELS="remap", MODEL_ALIASES=aliases, POOL_SIZE_OTHER="0").wait()


def listed(server):
    status, _, data = server.call("GET", "/v1/models")
    body = json.loads(data)
    assert (status, body["object"]) == (200, "list")
    return {model["id"]: model for model in body["data"]}


def test_list(remapping):
    """The list has the first release's models, the CLI's models and aliases, and MODEL_ALIASES."""
    models = listed(remapping)
    assert {*LEGACY, "sonnet", "opus", "haiku", "gpt-4o", "fast"} <= set(models)
    assert models["sonnet"]["runs"] in models
    for model in models.values():
        assert (model["object"], model["owned_by"]) == ("model", "anthropic")
        assert isinstance(model["created"], int)


@pytest.mark.parametrize("name", ["sonnet", MODEL, "us.anthropic.claude-sonnet-4-20250514-v1:0"])
def test_retrieve(remapping, name):
    """A single model can be retrieved, also if its id has a colon."""
    status, _, data = remapping.call("GET", f"/v1/models/{quote(name, safe='')}")
    assert (status, json.loads(data)["id"]) == (200, name)


def test_retrieve_unknown(remapping):
    """A foreign model is OpenAI's 404."""
    status, _, data = remapping.call("GET", "/v1/models/gpt-5")
    error = json.loads(data)["error"]
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("asked", "runs"), [("gpt-4o", "claude-sonnet-"), ("fast", "claude-haiku-")]
)
def test_aliases(remapping, upstream, asked, runs):
    """A name in MODEL_ALIASES runs its model, and `model` names that."""
    _, body = remapping.ask("hello", model=asked)
    assert body["model"] == upstream.requests[0].body["model"]
    assert body["model"].startswith(runs)


def test_no_model(remapping, upstream):
    """A request without a model runs DEFAULT_MODEL."""
    _, body = remapping.ask("hello", model=None)
    assert body["model"].startswith("claude-sonnet-")


@pytest.mark.parametrize("stream", [False, True])
def test_remapped(remapping, upstream, stream):
    """A retired model runs its family's current one, named by `model` and a header."""
    asked = "claude-3-5-haiku-20241022"
    messages = [{"role": "user", "content": "hello"}]
    body = {"model": asked, "stream": stream, "messages": messages}
    status, headers, data = remapping.call("POST", "/v1/chat/completions", body)
    assert (status, headers["x-model-remapped"]) == (200, asked)
    assert upstream.requests[0].body["model"].encode() in data
    assert upstream.requests[0].body["model"].startswith("claude-haiku-5")


def test_strict(gateway, upstream):
    """With LEGACY_MODELS=strict a retired model goes upstream, and the API's 404 is passed on."""
    status, body = gateway.ask("[[error 404]]", model="claude-3-7-sonnet-20250219")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert upstream.requests[0].body["model"] == "claude-3-7-sonnet-20250219"


def test_foreign(gateway, upstream):
    """A foreign model is refused without a request to the API."""
    status, body = gateway.ask("hello", model="gpt-4o")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert not upstream.requests


def test_a_model_for_a_newer_claude_code(serve, upstream, tmp_path):
    """The list says which Claude Code a model needs, and so does the answer to a request for it.

    Nothing is sent then, and a fallback model answers. Claude Code itself lists the model so.
    """
    server = serve(
        CLAUDE_CLI_PATH=altered(tmp_path, output=KNOWS_NEWER_MODEL),
        MODEL_ALIASES="best=claude-opus-9",
        TRIALS="false",
        POOL_SIZE_OTHER="0",
    ).wait()
    models = listed(server)
    needs = {name: model["min_claude_code_version"] for name, model in models.items()}
    assert {name for name in needs if needs[name]} == {"claude-opus-9", "best"}
    assert needs["best"] == "2.9.0"
    upstream.clear()
    status, body = server.ask("hello", model="best")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "claude-opus-9 needs Claude Code 2.9.0 or newer" in body["error"]["message"]
    assert not upstream.requests
    falls = {"fallback_models": ["haiku"]}
    status, body = server.ask("hello", model="claude-opus-9", claude=falls)
    assert (status, "haiku" in body["model"]) == (200, True)
