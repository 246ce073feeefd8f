"""The chat page: the browser's cookie and CSRF token stand in for a key, and all limits hold."""

from pathlib import Path

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.key_files import add_keys
from tests.support.scripted_server import CHAT_BODY, ScriptedServer, error_of, frames_of
from wrapper.auth import key_editor
from wrapper.console import static_files
from wrapper.console.browser import CSRF_HEADER
from wrapper.console.static_files import SECONDS
from wrapper.routes.headers import ANSWER, RATES, TIMING

CHAT = f"{HOME}/chat"
SEND = f"{CHAT}/completions"
ATTACK = "<img src=x onerror=alert(1)>"


@pytest.fixture
def server():
    return ScriptedServer()


@pytest.fixture
def person(server):
    return ConsoleClient(server.app)


@pytest.fixture
def bob(tmp_path):
    """Bob at a gateway that limits him, and that has a session of ann's."""
    file = tmp_path / "keys.toml"
    keys = add_keys(file, "ann", "bob")
    limits = {"models": ["*haiku*"], "profile": "plain", "requests_per_minute": 2}
    key_editor.limit(file, "bob", limits)
    server = ScriptedServer(api_keys_file=str(file))
    assert server.ask({"x-api-key": keys["ann"]}, session_id="of-ann").status_code == 200
    person = ConsoleClient(server.app)
    person.sign_in(keys["bob"])
    return person


def send(person, token=None, **fields):
    headers = {CSRF_HEADER: person.csrf_token() if token is None else token}
    return person.send("POST", SEND, json={**CHAT_BODY, **fields}, headers=headers, buffered=True)


def test_choices(person):
    """The page offers models, profiles, efforts and the sessions of the visitor."""
    send(person, session_id=ATTACK)
    page = person.open(CHAT).text
    assert '<option value="sonnet" selected>' in page
    assert '<option value="agent" selected>' in page
    assert '<option value="xhigh">' in page
    assert ATTACK not in page
    assert 'value="&lt;img src=x onerror=alert(1)&gt;"' in page


def test_without_sessions():
    """A gateway that stores no sessions says which setting it is."""
    page = ConsoleClient(ScriptedServer(session_store="none").app).open(CHAT).text
    assert "SESSION_STORE" in page


def test_answer(person):
    """It answers as the API does, whole or as a stream."""
    assert send(person).json["choices"][0]["message"]["content"] == "Hello."
    *chunks, done = frames_of(send(person, stream=True))
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert "Hello." in texts
    assert done == "data: [DONE]"


def test_large_request(person):
    """Files make requests larger than forms are."""
    assert send(person, messages=[{"role": "user", "content": "x" * 100_000}]).status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_csrf(server, person, token):
    """Without the page's token nothing runs, whatever the cookie says."""
    error_of(send(person, token), 403)
    assert server.engine.turns == []


def test_another_sites_page(server, person):
    """A page of another site asks for nothing, even if it knew the token."""
    headers = {CSRF_HEADER: person.csrf_token(), "Sec-Fetch-Site": "cross-site"}
    error_of(person.send("POST", SEND, json=CHAT_BODY, headers=headers), 403)
    assert server.engine.turns == []


def test_signed_out(bob):
    """Without a sign-in the page's requests are sent to the form."""
    bob.post(f"{HOME}/sign-out")
    for path in (SEND, f"{CHAT}/tools", f"{CHAT}/sessions/of-ann"):
        method = "POST" if path == SEND else "GET"
        answer = bob.send(method, path)
        assert (answer.status_code, "/sign-in" in answer.headers["Location"]) == (303, True)


def test_limits_of_the_key(bob):
    """Models, profile and rate of the visitor's key hold."""
    page = bob.open(CHAT).text
    assert 'value="haiku"' in page
    assert 'value="opus"' not in page
    assert 'value="agent"' not in page
    error_of(send(bob, model="opus"), 403)
    assert send(bob, model="haiku").status_code == 200
    error_of(send(bob, model="haiku"), 429)


def test_another_keys_session(bob):
    """Another key's session does not exist."""
    error_of(bob.send("GET", f"{CHAT}/sessions/of-ann"), 404)


def test_errors_have_the_shape_of_the_api(person):
    """What is wrong with a request comes as JSON, and names the field."""
    assert error_of(send(person, messages=[]), 400)["param"] == "messages"


def test_scripts_that_scripts_import(person):
    """They are asked for without a stamp, so that a browser checks whether they have changed."""
    path = f"{HOME}/static/chat/gateway.js"
    for query, age in (("", 0), ("?v=1", SECONDS)):
        with person.open(f"{path}{query}") as answer:
            assert answer.cache_control.max_age == age


def test_every_note_has_words():
    """The page has words for each header of an answer, but for what it shows as numbers."""
    script = (Path(static_files.__file__).parent / "static" / "chat" / "notes.js").read_text()
    shown_otherwise = {"x-cost-usd", *TIMING, *RATES}
    assert [name for name in ANSWER if (f'"{name}"' in script) == (name in shown_otherwise)] == []
