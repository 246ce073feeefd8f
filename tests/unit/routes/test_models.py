"""The routes of models: what they return agrees with what requests get."""

import pytest
from flask import Flask

from wrapper import Gateway
from wrapper.services.catalog import Model
from wrapper.services.principal import Principal
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

MODELS = (
    Model("default", "claude-opus-5-5", "Default (recommended)"),
    Model("sonnet", "claude-sonnet-5-5", "Sonnet"),
    Model("opus", "claude-opus-5-5", "Opus"),
    Model("opus[1m]", "claude-opus-5-5[1m]", "Opus, long"),
)
NAMES = [
    *("sonnet", "openai/sonnet", "anthropic/claude-opus-5-5", "opus[1m]", "claude-opus-5-5[1m]"),
    *("gpt-4o", "openai/gpt-4o", "claude-3-5-haiku-20241022", "anthropic/claude-sonnet-4.5"),
    *("openai/gpt-5", "foo/claude-bar", "gpt-5", "haiku[1m]", "llama3:8b", "default"),
    *("us.anthropic.claude-sonnet-4-5-v1:0", "openrouter/anthropic/claude-opus-4-1"),
]
LIMITS = [None, ("sonnet",), ("claude-opus-*",), ("gpt-4o",), ("opus[1m]",), ("openai/*",), ()]


class Engine(ScriptedEngine):
    def models(self):
        return MODELS


@pytest.fixture
def make_client():
    """Return a function that makes a client whose key may use these *models*."""

    def make(models=None):
        engine = Engine(lambda turn: answer("Hello."))
        settings = Settings(model_aliases=(("gpt-4o", "haiku"),))
        caller = Principal("alice", models=models)
        gateway = Gateway(settings, engine=engine, authenticate=lambda request: caller)
        app = Flask(__name__)
        gateway.init_app(app)
        return app.test_client(), engine

    return make


def post(client, model):
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    return client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("models", LIMITS)
@pytest.mark.parametrize("name", NAMES)
def test_described_as_requested(make_client, name, models):
    """GET /v1/models/{id} has the same status as a request with this model, for every key."""
    client, _ = make_client(models)
    described, requested = client.get(f"/v1/models/{name}"), post(client, name)
    assert described.status_code == requested.status_code
    if described.status_code == 200:
        assert (described.json["id"], bool(described.json["name"])) == (name, True)
    else:
        assert described.json == requested.json


@pytest.mark.parametrize("models", LIMITS)
def test_listed_as_requested(make_client, models):
    """The list for a key has exactly the names that the key may use."""
    client, _ = make_client(models)
    listed = {model["id"] for model in client.get("/v1/models").json["data"]}
    every = {model["id"] for model in make_client()[0].get("/v1/models").json["data"]}
    assert listed == {name for name in every if post(client, name).status_code == 200}


def test_prefix_does_not_evade_a_limit(make_client):
    """A router's prefix before a model's name does not evade the limits of a key."""
    client, engine = make_client(("sonnet", "openai/*", "*/claude-*"))
    assert post(client, "openai/opus").status_code == 403
    assert post(client, "anthropic/claude-opus-5-5").status_code == 403
    assert post(client, "openai/sonnet").status_code == 200
    assert [turn.model for turn in engine.turns] == ["sonnet"]


def test_real_models_first(make_client):
    """The list begins with the models' own ids and ends with Claude Code's default."""
    models = make_client()[0].get("/v1/models").json["data"]
    assert models[0]["id"] == "claude-sonnet-5-5"
    assert models[-1]["id"] == "default"
    assert all(model["name"] for model in models)
