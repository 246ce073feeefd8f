"""Limits of each user below a key, in every API, whatever a caller leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from wrapper import Gateway
from wrapper.services.principal import EndUser, Principal
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer, raw_answer

HI = {"role": "user", "content": "Hi"}
SHOP = Principal("shop", user_usd_per_day=0.001)  # a turn costs as much
APIS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [HI]}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "completions": ("/v1/completions", {"prompt": "Hi"}),
    "messages": ("/v1/messages", {"model": "sonnet", "max_tokens": 9, "messages": [HI]}),
}


class Server:
    """An app whose callers are all *who*."""

    def __init__(self, tmp_path, who=SHOP, **settings):
        self.who = who
        self.engine = ScriptedEngine(
            lambda turn: raw_answer("Hello.") if turn.body else answer("Hello.")
        )
        given: dict[str, Any] = {"usage_db": str(tmp_path / "usage.db"), **settings}
        self.gateway = Gateway(
            Settings(**given), engine=self.engine, authenticate=lambda _: self.who
        )
        app = Flask("shop")
        self.gateway.init_app(app)
        self.client = app.test_client()

    def post(self, api, user="", **fields):
        """Send a request for *user*, whom each API names in its own way."""
        path, body = APIS[api]
        if api == "messages":
            named: dict[str, Any] = {"metadata": {"user_id": user}}
        else:
            named = {"user": user}
        return self.client.post(path, json={**body, **(named if user else {}), **fields})


@pytest.fixture
def server(tmp_path):
    made = []

    def make(*args, **settings):
        made.append(Server(tmp_path, *args, **settings))
        return made[-1]

    yield make
    for each in made:
        each.gateway.close()


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_of_each_user(server, api, stream):
    """A user who has spent their budget gets a 429 that says so; others go on."""
    here = server()
    assert here.post(api, "ann", stream=stream).status_code == 200
    refused = here.post(api, "ann", stream=stream)
    assert refused.status_code == 429
    assert (
        "The budget user_usd_per_day of the request's user (of the key 'shop') is used up: "
        "$0.0010 of $0.0010 are spent; it starts anew at " in refused.json["error"]["message"]
    )
    assert refused.headers["x-budget-warnings"] == "user_usd_per_day=100"
    assert here.post(api, "ben").status_code == 200
    assert len(here.engine.turns) == 2


@pytest.mark.parametrize("api", APIS)
def test_nobody_escapes_by_silence(server, api):
    """Requests that name no user share one budget, in all APIs and whatever they leave empty."""
    here = server()
    assert here.post(api).status_code == 200
    for other in APIS:
        assert here.post(other).status_code == 429
    for empty in ({"user": ""}, {"user": None}, {"safety_identifier": None, "user": None}):
        assert here.post("chat", **empty).status_code == 429
    for metadata in ({}, {"user_id": ""}, {"user_id": 5}, {"user_id": None}):
        assert here.post("messages", metadata=metadata).status_code == 429
    assert len(here.engine.turns) == 1


def test_the_newer_parameter_counts(server):
    """safety_identifier counts before user, and both name the same users."""
    here = server()
    for api in ("chat", "responses"):
        name = f"ann-{api}"
        assert here.post(api, "x", safety_identifier=name).status_code == 200
        assert here.post(api, "y", safety_identifier=name).status_code == 429
        assert here.post(api, name).status_code == 429


def test_which_parameters_have_an_effect(server):
    """The parameter that names the user is ignored only by keys without limits of users."""
    here = server(replace(SHOP, user_usd_per_day=1), strict_params=True)
    assert "x-ignored-params" not in here.post("chat", "ann").headers
    assert here.post("chat", "ann", safety_identifier="b").status_code == 400
    here.who = Principal("free")
    assert here.post("chat", "ann").json["error"]["param"] == "user"


def test_an_ignored_parameter_names_nobody(server):
    """With IGNORE_PARAMS=user all requests are those of the unnamed user."""
    here = server(ignore_params=("user",))
    assert here.post("chat", "ann").status_code == 200
    assert here.post("chat", "ben").status_code == 429


@pytest.mark.parametrize(("api", "param"), [("chat", "safety_identifier"), ("completions", "user")])
def test_a_required_user(server, api, param):
    """A key that requires a user refuses a request without one, and runs nothing."""
    here = server(Principal("shop", requires_user=True))
    refused = here.post(api)
    assert (refused.status_code, refused.json["error"]["param"]) == (400, param)
    assert here.engine.turns == []
    assert here.post(api, "ann").status_code == 200


def test_rates_of_each_user(server):
    """A user over their rate gets a 429 with Retry-After and the rate's headers."""
    here = server(Principal("shop", requests_per_minute=9, user_requests_per_minute=1))
    first = here.post("chat", "ann")
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    refused = here.post("chat", "ann")
    assert (refused.status_code, refused.json["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert here.post("chat", "ben").status_code == 200


def test_tokens_of_each_user(server):
    """What a user's turns use counts against the tokens of that user alone."""
    here = server(Principal("shop", user_tokens_per_minute=5))
    assert here.post("chat", "ann").status_code == 200  # it uses five
    assert here.post("chat", "ann").status_code == 429
    assert here.post("chat", "ben").status_code == 200


def test_too_many_answers_for_a_user(server):
    """A request for more answers than a user may get at once can never run."""
    here = server(Principal("shop", user_concurrent_turns=1))
    refused = here.post("chat", "ann", n=2)
    assert (refused.status_code, refused.json["error"]["param"]) == (403, "n")
    assert "user_concurrent_turns" in refused.json["error"]["message"]


def test_the_key_counts_all(server):
    """The key's own usage and budget have what all its users spend, and show none of them."""
    here = server(replace(SHOP, usd_per_day=0.0025))
    for user in ("ann", "ben", "cora"):
        response = here.post("chat", user)
        assert response.status_code == 200
    assert response.headers["x-budget-warnings"] == "usd_per_day=100, user_usd_per_day=100"
    report = here.client.get("/v1/usage").json
    assert (report["total"]["requests"], report["total"]["cost_usd"]) == (3, 0.003)
    assert [line["key"] for line in report["data"]] == ["shop"]
    assert list(report["budgets"]) == ["usd_per_day"]


def test_a_repeated_answer_needs_no_budget(server):
    """An answer of a session that was lost is told again although its user has spent the budget."""
    here = server()
    asked = {"json": {"messages": [HI], "session_id": "s", "user": "ann"}}
    first, second = (
        here.client.post(APIS["chat"][0], **asked, headers={"Idempotency-Key": "one"})
        for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["idempotent-replayed"] == "true"
    other = here.client.post(APIS["chat"][0], **asked, headers={"Idempotency-Key": "two"})
    assert other.status_code == 429


def test_identifiers_are_kept_nowhere(server, tmp_path, caplog):
    """Neither the log nor the store of usage has the identifier that a request gives its user."""
    caplog.set_level("DEBUG")
    here = server(request_log_days=1)
    here.post("chat", "ann@example.com")
    here.post("responses", "ann@example.com")
    here.gateway.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert EndUser.named(SHOP, "ann@example.com").user.encode() in kept
    assert b"ann@example" not in kept
    assert "ann@example" not in str([(each.msg, vars(each)) for each in caplog.records])
