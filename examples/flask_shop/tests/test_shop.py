"""The shop: its own pages, and the gateway's routes for its customers."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing

import pytest

from wrapper.errors import Overloaded
from wrapper.testing import ScriptedEngine

FACTS = {"celsius": 70, "minutes": 2, "caffeine": "some"}
HELLO = {"messages": [{"role": "user", "content": "Hello?"}]}


def ask(browser, **more):
    return browser.post("/ai/v1/chat/completions", json={**HELLO, **more})


def ledger(app):
    """Return the lines of the shop's ledger."""
    with closing(sqlite3.connect(app.config["DATABASE"])) as database:
        return database.execute("SELECT name, input, output, usd, outcome FROM ledger").fetchall()


# Its own pages


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/", 200, "Sencha"),
        ("/teas/sencha", 200, "Like a meadow after rain."),
        ("/teas/coffee", 404, "We have no such tea."),
        ("/nowhere", 404, "<h1>404</h1>"),
    ],
)
def test_pages(build, path, status, text):
    """Pages and errors are the shop's own, without the gateway's headers."""
    response = (
        build(cors_origins=("https://else.example",))
        .test_client()
        .get(path, headers={"Origin": "https://else.example"})
    )
    assert response.status_code == status
    assert text in response.text
    assert response.mimetype == "text/html"
    assert not {"x-request-id", "Access-Control-Allow-Origin"} & set(response.headers.keys())


def test_crash(build):
    """An error in the shop gets the shop's page, without details."""
    app = build()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/broken", view_func=lambda: 1 / 0)
    response = app.test_client().get("/broken")
    assert response.status_code == 500
    assert "<h1>500</h1>" in response.text
    assert "division" not in response.text


def test_logging(build):
    """The gateway does not change the shop's logging."""

    def configured():
        names = ("", "shop", "wrapper")
        return [(logging.getLogger(name).level, logging.getLogger(name).handlers) for name in names]

    before = configured()
    build().test_client().get("/")
    assert configured() == before


# Customers


def test_login(build, login):
    """The gateway knows a logged-in customer by name, and nobody else."""
    app = build()
    stranger = app.test_client()
    for data in ({"name": "ada", "password": "wrong"}, {"name": "eve", "password": "wrong"}):
        assert stranger.post("/login", data=data).status_code == 401
    refused = ask(stranger)
    assert (refused.status_code, refused.json["error"]["code"]) == (401, "invalid_api_key")
    browser = login(app)
    assert ask(browser).status_code == 200
    turn = app.extensions["wrapper"].engine.turns[0]
    assert (turn.principal.name, turn.profile) == ("customer.ada", "plain")
    browser.post("/logout")
    assert ask(browser).status_code == 401


def test_sessions(build, login):
    """A customer's session is in the shop's database, and other customers cannot read it."""
    app = build()
    ada, bob = login(app), login(app, "bob")
    assert ask(ada, session_id="one").status_code == 200
    assert ada.get("/ai/v1/sessions/one").json["message_count"] == 2
    assert bob.get("/ai/v1/sessions/one").status_code == 404
    with closing(sqlite3.connect(app.config["DATABASE"])) as database:
        owners = database.execute("SELECT owner, id FROM sessions").fetchall()
    assert owners == [("customer.ada", "one")]


def test_limits(build, login):
    """Each customer has their own rate and budget."""
    app = build()
    ada, bob = login(app), login(app, "bob")
    assert [ask(ada).status_code for _ in range(21)] == [200] * 20 + [429]
    assert ask(bob).headers["x-ratelimit-remaining-requests"] == "19"
    assert ada.get("/ai/v1/usage").json["budgets"]


# Requests of the shop


def test_summary(build, login):
    """Reviews are summed up in a stream, which counts as the customer's."""
    app = build()
    browser = login(app)
    response = browser.post("/ai/v1/summaries", json={"tea": "rooibos", "words": 30})
    assert response.mimetype == "text/event-stream"
    *events, last = response.text.strip().split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == (
        "Customers like it."
    )
    assert last == "data: [DONE]"
    turn = app.extensions["wrapper"].engine.turns[0]
    assert "My children drink it." in turn.messages[0].parts[0]
    assert ledger(app) == [("customer.ada", 3, 2, 0.001, "done")]


@pytest.mark.parametrize(
    ("sent", "param"),
    [({"tea": "coffee"}, "tea"), ({}, "tea"), ({"tea": "sencha", "words": 9000}, "words")],
)
def test_invalid_summary(build, login, sent, param):
    """A field that the shop's schema refuses is a 400 that names it."""
    refused = login(build()).post("/ai/v1/summaries", json=sent)
    assert (refused.status_code, refused.json["error"]["param"]) == (400, param)


def test_document(build):
    """The shop's view is in the gateway's OpenAPI document."""
    document = build().test_client().get("/ai/v1/openapi.json").json
    view = document["paths"]["/ai/v1/summaries"]["post"]
    assert list(view["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "Summary" in view["requestBody"]["content"]["application/json"]["schema"]["$ref"]


def test_facts(build):
    """The facts of a tea match the schema, and the shop asks for them once."""
    app = build(json.dumps(FACTS))
    visitor = app.test_client()
    assert [visitor.get("/teas/sencha/facts").json for _ in range(2)] == [FACTS, FACTS]
    assert [line[0] for line in ledger(app)] == ["shop.facts"]


@pytest.mark.parametrize(
    "engine",
    [
        ScriptedEngine(lambda turn: [Overloaded("Busy.")]),
        None,  # its answer is not JSON
    ],
)
def test_facts_unavailable(build, engine):
    """If the gateway has no facts, the shop's page says so, and the shop asks again next time."""
    visitor = build("Hot.", engine=engine).test_client()
    for _ in range(2):
        response = visitor.get("/teas/sencha/facts")
        assert response.status_code == 503
        assert "tea master" in response.text


def test_newsletter(build):
    """The job prints the newsletter, has its own name in the ledger, and stops the gateway."""
    app = build("Drink tea.")
    done = app.test_cli_runner().invoke(args=["write-newsletter"])
    assert done.output == "Drink tea.\n"
    assert [line[0] for line in ledger(app)] == ["shop.newsletter"]
    assert not app.extensions["wrapper"].engine.started


def test_newsletter_fails(build):
    """A job that fails says why, and its turn is in the ledger."""
    app = build(engine=ScriptedEngine(lambda turn: [Overloaded("Busy.")]))
    done = app.test_cli_runner().invoke(args=["write-newsletter"])
    assert (done.exit_code, done.output) == (1, "Error: Busy.\n")
    assert [line[-1] for line in ledger(app)] == ["overloaded"]
