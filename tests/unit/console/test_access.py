"""Who gets into the console, what a browser keeps, and which requests change anything."""

from urllib.parse import unquote

import pytest
from flask import Flask

from tests.support.console_client import HOME, PAGE, SIGN_IN, ConsoleClient
from tests.support.scripted_server import ScriptedServer
from wrapper import Gateway, Principal
from wrapper.auth import key_editor
from wrapper.auth.sign_ins import SECONDS
from wrapper.services.limits.rate_limits import LEAST_READS, SIGN_INS
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

KEY = "sk-right"
SIGN_OUT = f"{HOME}/sign-out"


@pytest.fixture
def person():
    """Somebody in front of a gateway with API_KEY, who is not signed in."""
    return ConsoleClient(ScriptedServer(api_key=KEY).app)


@pytest.fixture
def member(person):
    """Somebody who is signed in."""
    assert person.sign_in(KEY).status_code == 303
    return person


# The way to the console


@pytest.mark.parametrize("accept", ["text/html", PAGE["Accept"]])
def test_browsers(accept):
    """A browser that asks for the root is sent to the console."""
    response = ScriptedServer().client.get("/", headers={"Accept": accept})
    assert (response.status_code, response.location) == (302, HOME)


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_programs(method, accept):
    """Other clients get from the root what they get without a console."""
    with_it, without = (
        ScriptedServer(console=on).client.open("/", method=method, headers={"Accept": accept})
        for on in (True, False)
    )
    assert (with_it.status_code, with_it.data) == (without.status_code, without.data)


@pytest.mark.parametrize("path", [HOME, f"{HOME}/static/console.css", SIGN_IN])
def test_off(path):
    """With CONSOLE=false nothing of it is served."""
    assert ScriptedServer(console=False).client.get(path, headers=PAGE).status_code == 404


def test_embedding():
    """An app chooses whether and where the console is, and keeps its own root."""
    app = Flask("shop")
    app.get("/")(lambda: "shop")
    gateway = Gateway(Settings(), engine=ScriptedEngine())
    gateway.init_app(app, "/ai/v1")
    assert ConsoleClient(app).open(HOME).status_code == 404
    gateway = Gateway(Settings(), engine=ScriptedEngine())
    app = Flask("shop")
    app.get("/")(lambda: "shop")
    gateway.init_app(app, "/ai/v1")
    gateway.init_console(app, "/ai/console")
    client = ConsoleClient(app)
    page = client.open("/ai/console")
    assert "/ai/console/static/console.css" in page.text
    assert "Path=/ai/console;" in page.headers["Set-Cookie"]
    assert client.open("/").text == "shop"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", ["/ai/console", "/ai/console/", "/ai/docs", "/ai/docs/"])
def test_slashes_in_an_app(path, slash):
    """In an app the console and its page about the API are found with a slash and without one."""
    app = Flask("shop")
    gateway = Gateway(Settings(), engine=ScriptedEngine())
    gateway.init_app(app, "/ai/v1")
    gateway.init_console(app, f"/ai/console{slash}", f"/ai/docs{slash}")
    assert ConsoleClient(app).open(path).status_code == 200


def test_app_knows_the_caller():
    """Where the app says who is calling there is no sign-in, and strangers are told."""
    known = {"ann": Principal("ann")}
    gateway = Gateway(
        Settings(),
        engine=ScriptedEngine(),
        authenticate=lambda request: known.get(request.headers.get("x-user")),
    )
    app = Flask("shop")
    gateway.init_app(app)
    gateway.init_console(app)
    client = ConsoleClient(app)
    assert "ann" in client.open(**{"x-user": "ann"}).text
    stranger = client.open()
    assert stranger.status_code == 401
    assert "could not be authenticated" in stranger.text
    assert client.open(SIGN_IN, **{"x-user": "ann"}).status_code == 303


def test_no_keys():
    """On this machine without keys, the console opens at once."""
    page = ConsoleClient(ScriptedServer().app).open()
    assert page.status_code == 200
    assert "Sign out" not in page.text


def test_no_keys_other_host():
    """Without keys, a page under another name gets nothing but the reason."""
    page = ScriptedServer().client.get(HOME, headers={**PAGE, "Host": "evil.example"})
    assert page.status_code == 403
    assert "set API_KEY" in page.text


@pytest.mark.parametrize("path", [HOME, f"{HOME}?a=b", f"{HOME}/nothing"])
def test_link_of_another_site(member, path):
    """A link of another site leads to the page by one more step, which has no data."""
    page = member.open(path, **{"Sec-Fetch-Site": "cross-site"})
    assert page.status_code == 200
    assert "Continue to the console" in page.text
    assert "Overview" not in page.text
    assert "Set-Cookie" not in page.headers


# Signing in


def test_sign_in(person):
    """The right key opens the page that was asked for."""
    asked = person.open(f"{HOME}?a=b")
    assert asked.status_code == 303
    assert unquote(asked.location) == f"{SIGN_IN}?next={HOME}?a=b"
    assert person.sign_in(KEY, next=f"{HOME}?a=b").location == f"{HOME}?a=b"
    page = person.open()
    assert page.status_code == 200
    assert "default" in page.text
    assert "Sign out" in page.text


@pytest.mark.parametrize("key", ["", "sk-wrong", " ", "ä" * 3000, "\x00"])
def test_wrong_key(person, key):
    """A wrong key opens nothing, and is not shown again."""
    page = person.sign_in(key)
    assert page.status_code == 401
    assert "This key is wrong" in page.text
    assert not key.strip() or key not in page.text
    assert person.open().status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/v1/models",
        "/consoles",
        "x",
        "/console/\n",
    ],
)
def test_open_redirect(person, target):
    """After signing in, nobody is sent out of the console."""
    assert person.sign_in(KEY, next=target).location == HOME


def test_cookie(person):
    """The cookie is out of reach of scripts and of other sites, ends, and does not hold the key."""
    cookie = person.sign_in(KEY).headers["Set-Cookie"]
    assert "; HttpOnly" in cookie
    assert "; SameSite=Strict" in cookie
    assert f"; Path={HOME}" in cookie
    assert f"; Max-Age={SECONDS}" in cookie
    assert "Secure" not in cookie
    assert KEY not in cookie


def test_cookie_behind_tls():
    """Behind TLS the cookie is never sent without it, and a page without TLS cannot set it."""
    person = ConsoleClient(ScriptedServer(api_key=KEY).app, **{"wsgi.url_scheme": "https"})
    cookie = person.open(SIGN_IN).headers["Set-Cookie"]
    assert cookie.startswith("__Secure-console=")
    assert "; Secure" in cookie


def test_rotation(person):
    """Signing in changes the cookie, so that one planted before opens nothing."""
    person.open(SIGN_IN)
    planted = person.cookie()
    person.sign_in(KEY)
    assert person.cookie() != planted
    assert person.stolen(planted).status_code == 303


def test_sign_out(member):
    """After signing out, a stolen cookie is dead."""
    stolen = member.cookie()
    assert member.stolen(stolen).status_code == 200
    assert member.post(SIGN_OUT).location == SIGN_IN
    assert member.stolen(stolen).status_code == 303
    assert member.open().status_code == 303


def test_revoked(tmp_path):
    """A key that is revoked ends its sign-ins."""
    file = tmp_path / "keys.toml"
    key = key_editor.add(file, "ann")
    person = ConsoleClient(ScriptedServer(api_keys_file=str(file)).app)
    person.sign_in(key)
    assert person.open().status_code == 200
    key_editor.remove(file, "ann")
    assert person.open().status_code == 303


def test_attempts(person):
    """An address may try a few keys a minute; then also the right one is refused."""
    for _ in range(SIGN_INS.amount):
        assert person.sign_in("sk-wrong").status_code == 401
    page = person.sign_in(KEY)
    assert page.status_code == 429
    assert page.headers["Retry-After"] == "60"
    other = ConsoleClient(person.client.application, REMOTE_ADDR="192.0.2.7")
    assert other.sign_in(KEY).status_code == 303


def test_api_ignores_cookies(member):
    """The API takes no cookie of the console in place of a key."""
    headers = {"Cookie": member.cookie()}
    assert member.send("GET", "/v1/models", headers=headers).status_code == 401


# Requests that change something


@pytest.mark.parametrize("token", [None, "", "0" * 64, "ä"])
def test_csrf(member, token):
    """A form without the right token changes nothing."""
    form = {} if token is None else {"csrf_token": token}
    page = member.send("POST", SIGN_OUT, data=form)
    assert page.status_code == 403
    assert "nothing was done" in page.text
    assert member.open().status_code == 200


def test_csrf_of_another_browser(member):
    """The token of another browser is wrong here, though its user may be signed in."""
    other = ConsoleClient(member.client.application)
    other.sign_in(KEY)
    assert member.post(SIGN_OUT, csrf_token=other.csrf_token()).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_other_sites(member, site):
    """A form that no page of the console has sent changes nothing, even with the token."""
    assert member.post(SIGN_OUT, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert member.open().status_code == 200


def test_csrf_of_sign_in(person):
    """Nobody can be signed in by another site's form."""
    assert person.send("POST", SIGN_IN, data={"key": KEY}).status_code == 403
    assert person.open().status_code == 303


def test_large_form(member):
    """A form is small; a large body is refused."""
    page = member.send("POST", SIGN_OUT, data={"csrf_token": "x" * 100_000})
    assert page.status_code == 413


def test_htmx_after_the_end(member):
    """When a sign-in has ended, a part that htmx asks for sends the whole page to the form."""
    member.post(SIGN_OUT)
    page = member.open(**{"HX-Request": "true"})
    assert page.status_code == 204
    assert page.headers["HX-Redirect"] == SIGN_IN


def test_streams_after_the_end(member):
    """A live page that follows the gateway after the sign-in has ended is told to stop."""
    member.post(SIGN_OUT)
    for path in ("live", "inbox/live"):
        answer = member.open(f"{HOME}/{path}", Accept="text/event-stream")
        assert (answer.status_code, answer.data) == (204, b"")


def test_reads_are_limited(tmp_path):
    """Pages count against a key's limit of requests, as reads of the API do."""
    file = tmp_path / "keys.toml"
    key = key_editor.add(file, "ann")
    file.write_text(f"{file.read_text()}requests_per_minute = 1\n")
    person = ConsoleClient(ScriptedServer(api_keys_file=str(file)).app)
    person.sign_in(key)
    # A minute may end between two requests, so there are two minutes' worth of them.
    statuses = {person.open().status_code for _ in range(2 * LEAST_READS + 1)}
    assert statuses == {200, 429}
