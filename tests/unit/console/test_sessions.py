"""The pages of sessions and responses: their owner finds, reads and deletes them; nobody else."""

import re
from typing import Any

import pytest
from flask import Flask

from shop.sessions import ShopStore
from tests.support.console_client import HOME, ConsoleClient
from tests.support.console_team import console_team
from tests.support.pictures import part, picture
from tests.support.scripted_server import ScriptedServer
from wrapper import Gateway
from wrapper.console.pages import responses
from wrapper.services.events import CallDelta, CallStarted, Ended, Ending, Started
from wrapper.services.spent import Usage
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer
from wrapper.testing.trial import build_session

SESSIONS, READ, DELETE = (f"{HOME}/sessions{path}" for path in ("", "/session", "/delete"))
RESPONSES = f"{HOME}/responses"
ATTACK = "<script>alert(1)</script>"
PICTURE = "<img src=x onerror=alert(1)>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.fixture
def server():
    return ScriptedServer()


@pytest.fixture
def person(server):
    return ConsoleClient(server.app)


@pytest.fixture
def team(tmp_path):
    """A gateway with the keys of ann, bob and eve, an admin. Bob has a session and a response."""
    with console_team(tmp_path) as team:
        assert team.ask("bob", session_id="of-bob").status_code == 200
        made = team.send("bob", "/v1/responses", {"model": "sonnet", "input": "Hi"})
        yield team.people, made["id"]


def read(person, id_):
    page = person.send("GET", READ, query_string={"id": id_})
    return page.status_code, page.text


# Sessions


def test_first_step(person):
    """Without sessions, the page says how to begin one."""
    assert "session_id" in person.open(SESSIONS).text


def test_no_store():
    """A gateway that stores none says which setting it is, also where one is read or deleted."""
    person = ConsoleClient(ScriptedServer(session_store="none").app)
    assert "SESSION_STORE" in person.open(SESSIONS).text
    for page in (person.open(f"{READ}?id=x"), person.post(DELETE, id="x")):
        assert (page.status_code, "SESSION_STORE" in page.text) == (400, True)


def test_misleading_ids(server, person):
    """Characters that one cannot see, or that turn others round, are shown as codes."""
    server.ask(session_id="\u202egnp.exe")
    page = person.open(SESSIONS).text
    assert ">⟨U+202E⟩gnp.exe</a>" in page
    assert "\u202e" not in re.sub('value="[^"]*"', "", page)
    assert '<h1 class="name">⟨U+202E⟩gnp.exe</h1>' in read(person, "\u202egnp.exe")[1]


def test_list(server, person):
    """The list has each session's turns, tokens and cost, and leads to its messages."""
    server.ask(session_id="one")
    server.ask(session_id="one", messages=[{"role": "user", "content": "More?"}])
    page = person.open(SESSIONS).text
    assert f'href="{READ}?id=one"' in page
    assert ">10</td>" in page
    status, text = read(person, "one")
    assert status == 200
    assert text.index("Hi") < text.index("Hello.") < text.index("More?")


def test_search(server, person):
    """The search finds a part of the id in any case; htmx gets the list alone."""
    for id_ in ("Alpha", "beta"):
        server.ask(session_id=id_)
    page = person.send("GET", SESSIONS, query_string={"q": "ALP"}).text
    assert "id=Alpha" in page
    assert "id=beta" not in page
    part = person.send(
        "GET", SESSIONS, query_string={"q": "x"}, headers={"HX-Request": "true"}
    ).text
    assert "Nothing found" in part
    assert "<html" not in part


def test_pages(server, person, monkeypatch):
    """A long list has several pages, those used last on the first one."""
    monkeypatch.setattr("wrapper.console.pages.sessions.MOST", 2)
    for id_ in ("s1", "s2", "s3"):
        server.ask(session_id=id_)
    first, second = (person.open(f"{SESSIONS}?first={at}").text for at in (0, 2))
    assert "id=s3" in first
    assert "id=s1" not in first
    assert "id=s1" in second
    for wrong in ("-5", "x", "9" * 30):
        assert person.open(f"{SESSIONS}?first={wrong}").status_code == 200


@pytest.mark.parametrize("id_", [PICTURE, "a b", "100%", '"', "a&b=c", "日本", "\u202e", "x" * 128])
def test_odd_ids(server, person, id_):
    """Whatever its id, a session is listed, read and deleted, and its id is text."""
    server.ask(session_id=id_)
    assert PICTURE not in person.open(SESSIONS).text
    status, text = read(person, id_)
    assert status == 200
    assert PICTURE not in text
    assert person.change("POST", DELETE, id=id_).status_code == 200
    assert read(person, id_)[0] == 404


def test_texts_are_texts():
    """What callers and the model write is shown letter for letter, and never as HTML."""
    server = ScriptedServer(*answer(ATTACK))
    server.ask(session_id="s", messages=[{"role": "user", "content": PICTURE}])
    _, text = read(ConsoleClient(server.app), "s")
    assert text.count(ESCAPED) == 1
    assert "<img" not in text


def test_parts():
    """Pictures of the message itself are shown; calls and their arguments can be opened."""
    call = [CallStarted(0, "call_1", "look_up"), CallDelta(0, '{"a": "<b>"}')]
    steps = [Started("m"), *call, Ended(Ending.CALLS, Usage(1, 1), 0.0)]
    server = ScriptedServer(*steps)
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    content = [part(picture()), {"type": "text", "text": "See?"}]
    server.ask(session_id="s", tools=tools, messages=[{"role": "user", "content": content}])
    _, text = read(ConsoleClient(server.app), "s")
    assert '<img src="data:image/' in text
    assert "<summary>look_up</summary>" in text
    assert "{&#34;a&#34;: &#34;&lt;b&gt;&#34;}" in text


@pytest.mark.parametrize("id_", ["", "none", "..", "a/b", "x" * 200, "\x00"])
def test_no_such_session(person, id_):
    """A page says that there is no such session."""
    status, text = read(person, id_)
    assert status in (400, 404)
    assert "<h1>" in text


def test_delete_without_htmx(server, person):
    """A browser without scripts deletes, too, and returns to the list."""
    server.ask(session_id="one")
    assert person.post(DELETE, id="one").location == SESSIONS
    assert "There are no sessions yet" in person.open(SESSIONS).text


def test_delete_on_its_page(server, person):
    """Where htmx replaces the whole page, it gets the list as a page after a deletion."""
    server.ask(session_id="one")
    boosted = {"HX-Request": "true", "HX-Boosted": "true"}
    assert person.post(DELETE, boosted, id="one").location == SESSIONS
    assert "<html" in person.open(SESSIONS, **boosted).text


def test_delete_needs_a_token(server, person):
    """Without a CSRF token nothing is deleted."""
    server.ask(session_id="one")
    assert person.send("POST", DELETE, data={"id": "one"}).status_code == 403
    assert read(person, "one")[0] == 200


def test_delete_twice(server, person):
    """What is gone already is a notice in the page."""
    page = person.change("POST", DELETE, id="one")
    assert page.status_code == 404
    assert "There is no session" in page.text
    assert "<html" not in page.text


def test_owner(team):
    """To another key the session does not exist, by its id neither."""
    people, _ = team
    assert "of-bob" in people["bob"].open(SESSIONS).text
    assert "of-bob" not in people["ann"].open(SESSIONS).text
    assert read(people["ann"], "of-bob")[0] == 404
    assert people["ann"].change("POST", DELETE, id="of-bob").status_code == 404
    assert read(people["bob"], "of-bob")[0] == 200


@pytest.mark.parametrize("key", ["bob", "eve", "nobody", "../bob", "*"])
@pytest.mark.parametrize("page", [SESSIONS, RESPONSES])
def test_key_of_another(team, page, key):
    """A caller who names another key is refused, whether or not there is such a key."""
    people, id_ = team
    ann = people["ann"]
    one = "session" if page == SESSIONS else "response"
    named = {"id": "of-bob" if page == SESSIONS else id_, "key": key}
    for path, query in ((page, {"key": key}), (f"{page}/{one}", named)):
        answer = ann.send("GET", path, query_string=query)
        assert answer.status_code == 403
        assert "an admin&#39;s key may" in answer.text
        assert "Hello" not in answer.text
    assert ann.change("POST", f"{page}/delete", **named).status_code == 403
    assert ann.open(page).status_code == 200
    assert people["bob"].send("GET", f"{page}/{one}", query_string={**named, "key": "bob"}).text


@pytest.mark.parametrize(("page", "one"), [(SESSIONS, "session"), (RESPONSES, "response")])
def test_admin(team, page, one):
    """An admin lists, filters, reads and deletes what other keys have stored."""
    people, response_id = team
    eve, id_ = people["eve"], "of-bob" if page == SESSIONS else response_id
    for query in ({}, {"key": "bob"}, {"q": id_[:5]}, {"q": id_[:5], "key": "bob"}):
        text = eve.send("GET", page, query_string=query).text
        assert ">bob</td>" in text
        assert f"id={id_}&amp;key=bob" in text
    for query in ({"key": "ann"}, {"q": "other"}, {"key": "<b>"}):
        text = eve.send("GET", page, query_string=query).text
        assert "Nothing found" in text
        assert "<b>" not in text.replace("<b>Nothing", "").replace("<b>gateway", "")
    assert eve.send("GET", f"{page}/{one}", query_string={"id": id_}).status_code == 404
    text = eve.open(f"{page}/{one}?id={id_}&key=bob").text
    assert text.index("Hi") < text.index("Hello.")
    assert "Continue" not in text
    assert 'name="key" value="bob"' in text
    assert eve.change("POST", f"{page}/delete", id=id_, key="bob").status_code == 200
    assert id_ not in people["bob"].open(page).text
    assert id_ not in eve.open(page).text


def test_store_of_an_app():
    """With a store that lists by owner alone, an admin sees the sessions of a key by its name."""
    store: Any = ShopStore(60.0, lambda: 0.0)
    gateway = Gateway(Settings(), engine=ScriptedEngine(), sessions=store)
    app = Flask("shop")
    gateway.init_app(app)
    gateway.init_console(app)
    claim = store.claim("bob", "of-bob", 0)
    claim.save(build_session("bob", "of-bob"))
    claim.release()
    page = ConsoleClient(app).open(SESSIONS).text
    assert "of-bob" not in page
    assert "only by key; name one" in page
    assert "of-bob" in ConsoleClient(app).open(f"{SESSIONS}?key=bob").text


def test_looking_is_no_use(team, monkeypatch):
    """An admin who reads another's response does not prolong its life."""
    people, id_ = team
    service = people["eve"].client.application.extensions["wrapper"].stores.responses
    for name in ("read", "touch"):
        monkeypatch.setattr(service._store, name, None)
    assert people["eve"].open(f"{RESPONSES}/response?id={id_}&key=bob").status_code == 200


# Responses


def test_response(team):
    """A response is found by its id, with its input and output, and can be deleted."""
    people, id_ = team
    page = people["bob"].open(f"{RESPONSES}/response?id={id_}")
    assert page.text.index("Hi") < page.text.index("Hello.")
    assert people["bob"].post(f"{RESPONSES}/delete", id=id_).location == RESPONSES
    assert people["bob"].open(f"{RESPONSES}/response?id={id_}").status_code == 404


def test_owner_of_response(team):
    """To another key the response does not exist."""
    people, id_ = team
    assert people["ann"].open(f"{RESPONSES}/response?id={id_}").status_code == 404
    assert people["ann"].post(f"{RESPONSES}/delete", id=id_).status_code == 404
    assert people["bob"].open(f"{RESPONSES}/response?id={id_}").status_code == 200


def test_response_texts():
    """What is in a response is text."""
    server = ScriptedServer(*answer(ATTACK))
    made = server.post({"model": "sonnet", "input": ATTACK}, path="/v1/responses")
    page = ConsoleClient(server.app).open(f"{RESPONSES}/response?id={made.json['id']}").text
    assert page.count(ESCAPED) == 2
    assert ATTACK not in page


def test_no_responses(person):
    """Without responses, the page says what stores them."""
    assert "RESPONSES_STORE" in person.open(RESPONSES).text
    none = ConsoleClient(ScriptedServer(session_store="none").app).open(RESPONSES).text
    assert "SESSION_STORE" in none


def test_list_of_responses(server, person, monkeypatch):
    """Responses are listed with tokens and cost, those used last first, in pages."""
    monkeypatch.setattr(responses, "MOST", 2)
    body = {"model": "sonnet", "input": "Hi"}
    ids = [server.post(body, path="/v1/responses").json["id"] for _ in range(3)]
    page = person.open(RESPONSES).text
    assert page.index(ids[2]) < page.index(ids[1])
    assert ids[0] not in page
    assert "1 to 2 of 3" in page
    assert "completed" in page
    assert "$0.0010" in page
    assert ids[0] in person.open(f"{RESPONSES}?first=2").text
    found = person.open(f"{RESPONSES}?q={ids[0][5:20]}").text
    assert (ids[0] in found, ids[1] in found) == (True, False)
    assert "Nothing found" in person.open(f"{RESPONSES}?q=none").text


def test_list_of_another_keys_responses(team):
    """Each caller has a list of their own."""
    people, id_ = team
    assert id_ not in people["ann"].open(RESPONSES).text
    assert id_ in people["bob"].open(RESPONSES).text
