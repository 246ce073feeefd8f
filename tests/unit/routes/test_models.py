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


def make_client(models):
    """Return a client whose key may use these *models*, and its engine."""
    engine = Engine(lambda turn: answer("Hello."))
    settings = Settings(model_aliases=(("gpt-4o", "haiku"),))
    caller = Principal("alice", models=models)
    gateway = Gateway(settings, engine=engine, authenticate=lambda request: caller)
    app = Flask(__name__)
    gateway.init_app(app)
    return app.test_client(), engine


@pytest.fixture(scope="module")
def clients():
    """Clients by the models that their keys may use, as a hundred would take long to build."""
    return {models: make_client(models) for models in LIMITS}


def post(client, model):
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    return client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("models", LIMITS)
@pytest.mark.parametrize("name", NAMES)
def test_described_as_requested(clients, name, models):
    """GET /v1/models/{id} has the same status as a request with this model, for every key."""
    client, _ = clients[models]
    described, requested = client.get(f"/v1/models/{name}"), post(client, name)
    assert described.status_code == requested.status_code
    if described.status_code == 200:
        assert (described.json["id"], bool(described.json["name"])) == (name, True)
    else:
        assert described.json == requested.json


@pytest.mark.parametrize("models", LIMITS)
def test_listed_as_requested(clients, models):
    """The list for a key has exactly the names that the key may use."""
    client, _ = clients[models]
    listed = {model["id"] for model in client.get("/v1/models").json["data"]}
    every = {model["id"] for model in clients[None][0].get("/v1/models").json["data"]}
    assert listed == {name for name in every if post(client, name).status_code == 200}


def test_prefix_does_not_evade_a_limit():
    """A router's prefix before a model's name does not evade the limits of a key."""
    client, engine = make_client(("sonnet", "openai/*", "*/claude-*"))
    assert post(client, "openai/opus").status_code == 403
    assert post(client, "anthropic/claude-opus-5-5").status_code == 403
    assert post(client, "openai/sonnet").status_code == 200
    assert [turn.model for turn in engine.turns] == ["sonnet"]


def test_real_models_first(clients):
    """The list begins with the models' own ids and ends with Claude Code's default."""
    models = clients[None][0].get("/v1/models").json["data"]
    assert models[0]["id"] == "claude-sonnet-5-5"
    assert models[-1]["id"] == "default"
    assert all(model["name"] for model in models)


def list_models(client, **query):
    response = client.get("/v1/models", query_string=query)
    assert response.status_code == 200, response.data
    body = response.json
    return [model["id"] for model in body.pop("data")], body


def test_fields_of_anthropic(clients):
    """A model, listed or read, has the fields of Anthropic's API as well as OpenAI's."""
    client, _ = clients[None]
    listed = {model["id"]: model for model in client.get("/v1/models").json["data"]}
    dated = client.get("/v1/models/claude-3-5-haiku-20241022").json
    assert listed["claude-3-5-haiku-20241022"] == dated
    assert (dated["type"], dated["object"]) == ("model", "model")
    assert (dated["created_at"], dated["created"]) == ("2024-10-22T00:00:00Z", 1729555200)
    assert listed["sonnet"]["created_at"] == "1970-01-01T00:00:00Z"


def test_whole_list(clients):
    """Without a limit the list is whole, and says so to clients of both APIs."""
    ids, rest = list_models(clients[None][0])
    ends = {"has_more": False, "first_id": ids[0], "last_id": ids[-1]}
    assert rest == {"object": "list", **ends}


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_pages(clients, limit):
    """Pages after one another, and before one another, together have every model once."""
    client, _ = clients[None]
    every, _ = list_models(client)
    ids, rest = list_models(client, limit=limit)
    while rest["has_more"]:
        page, rest = list_models(client, limit=limit, after_id=ids[-1])
        ids += page
    assert ids == every
    ids, rest = [every[-1]], {"has_more": True}
    while rest["has_more"]:
        page, rest = list_models(client, limit=limit, before_id=ids[0])
        ids = page + ids
    assert ids == every


def test_empty_page(clients):
    """After the last model there is an empty page."""
    client, _ = clients[None]
    last = list_models(client)[0][-1]
    expected = {"object": "list", "has_more": False, "first_id": None, "last_id": None}
    assert list_models(client, after_id=last) == ([], expected)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"after_id": "claude-none"}, "after_id"),
        ({"before_id": "claude-none"}, "before_id"),
    ],
)
def test_bad_page(clients, query, param):
    """A limit out of range, or a place that is not in the list, is refused by name."""
    response = clients[None][0].get("/v1/models", query_string=query)
    assert (response.status_code, response.json["error"]["param"]) == (400, param)
    assert param in response.json["error"]["message"]


def test_only_own_models_are_places(clients):
    """A model that the key may not use is no place in its list."""
    client, _ = clients[("sonnet",)]
    assert client.get("/v1/models?after_id=opus").status_code == 400
