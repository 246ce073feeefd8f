"""The shop: its own pages, and what the gateway in it does for its customers."""

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
    """Pages and errors are the shop's own, without a header of the gateway's."""
    said = (
        build(cors_origins=("https://else.example",))
        .test_client()
        .get(path, headers={"Origin": "https://else.example"})
    )
    assert said.status_code == status
    assert text in said.text
    assert said.mimetype == "text/html"
    assert not {"x-request-id", "Access-Control-Allow-Origin"} & set(said.headers.keys())


def test_crash(build):
    """A fault of the shop's own gets the shop's page, which says nothing of it."""
    app = build()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/broken", view_func=lambda: 1 / 0)
    said = app.test_client().get("/broken")
    assert said.status_code == 500
    assert "<h1>500</h1>" in said.text
    assert "division" not in said.text


def test_logging(build):
    """The shop's logging is left as it is."""

    def configured():
        names = ("", "shop", "wrapper")
        return [(logging.getLogger(name).level, logging.getLogger(name).handlers) for name in names]

    before = configured()
    build().test_client().get("/")
    assert configured() == before


# Customers


def test_login(build, login):
    """Who has the password is known by the gateway, and by nobody else's name."""
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
    """A customer's conversation is kept in the shop's database, and is no other customer's."""
    app = build()
    ada, bob = login(app), login(app, "bob")
    assert ask(ada, session_id="one").status_code == 200
    assert ada.get("/ai/v1/sessions/one").json["message_count"] == 2
    assert bob.get("/ai/v1/sessions/one").status_code == 404
    with closing(sqlite3.connect(app.config["DATABASE"])) as database:
        owners = database.execute("SELECT owner, id FROM sessions").fetchall()
    assert owners == [("customer.ada", "one")]


def test_limits(build, login):
    """Each customer has a minute's requests of their own, and a budget."""
    app = build()
    ada, bob = login(app), login(app, "bob")
    assert [ask(ada).status_code for _ in range(21)] == [200] * 20 + [429]
    assert ask(bob).headers["x-ratelimit-remaining-requests"] == "19"
    assert ada.get("/ai/v1/usage").json["budgets"]


# What it asks for


def test_summary(build, login):
    """Reviews are summed up in a stream, at the customer's cost."""
    app = build()
    browser = login(app)
    said = browser.post("/ai/v1/summaries", json={"tea": "rooibos", "words": 30})
    assert said.mimetype == "text/event-stream"
    *events, last = said.text.strip().split("\n\n")
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
def test_summary_of_what(build, login, sent, param):
    """What the shop's schema does not take is an error of the API that names it."""
    refused = login(build()).post("/ai/v1/summaries", json=sent)
    assert (refused.status_code, refused.json["error"]["param"]) == (400, param)


def test_document(build):
    """The shop's view is in the gateway's document."""
    document = build().test_client().get("/ai/v1/openapi.json").json
    told = document["paths"]["/ai/v1/summaries"]["post"]
    assert list(told["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "Summary" in told["requestBody"]["content"]["application/json"]["schema"]["$ref"]


def test_facts(build):
    """A tea's facts are JSON of the shape that was asked for, and are asked for once."""
    app = build(json.dumps(FACTS))
    visitor = app.test_client()
    assert [visitor.get("/teas/sencha/facts").json for _ in range(2)] == [FACTS, FACTS]
    assert [line[0] for line in ledger(app)] == ["shop.facts"]


@pytest.mark.parametrize(
    "engine",
    [
        ScriptedEngine(lambda turn: [Overloaded("Busy.")]),
        None,  # it answers with no JSON at all
    ],
)
def test_facts_away(build, engine):
    """Where there are none to be had the shop's page says so, and they are asked for again."""
    visitor = build("Hot.", engine=engine).test_client()
    for _ in range(2):
        said = visitor.get("/teas/sencha/facts")
        assert said.status_code == 503
        assert "tea master" in said.text


def test_newsletter(build):
    """The job prints what was written, in its own name, and stops what it has started."""
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
