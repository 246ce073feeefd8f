"""CORS: which web pages may read the gateway's responses."""

import pytest

from tests.support.scripted_server import CHAT_PATH, KEY, ScriptedServer
from wrapper import errors

pytestmark = pytest.mark.packages


APP = "https://app.example"
CORS = {"cors_origins": (APP,)}


def allowed_origin(response):
    return response.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_preflight(settings):
    """A preflight is answered with 204 without a key, and allows the headers that clients send."""
    headers = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    server = ScriptedServer(**CORS, **settings)
    response = server.client.options(CHAT_PATH, headers=headers)
    assert (response.status_code, response.data) == (204, b"")
    assert allowed_origin(response) == APP
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "x-stainless-os" in response.headers["Access-Control-Allow-Headers"].lower()
    assert server.engine.turns == []


def test_options_without_cors():
    """If no origin is allowed, OPTIONS is answered with 204 and without CORS headers."""
    response = ScriptedServer(cors_origins=("none",)).client.options(
        CHAT_PATH, headers={"Origin": APP}
    )
    assert response.status_code == 204
    assert allowed_origin(response) is None


@pytest.mark.parametrize(
    ("steps", "fields", "status"),
    [
        ([], {}, 200),
        ([], {"stream": True}, 200),
        ([], {"n": 0}, 400),
        ([errors.RateLimited("Slow.")], {}, 429),
        ([KeyError("x")], {}, 500),
    ],
)
def test_cors(steps, fields, status):
    """A listed origin may read answers, streams and errors, and the headers with their ids."""
    response = ScriptedServer(*steps, **CORS).ask(headers={"Origin": APP}, **fields)
    assert response.status_code == status
    assert allowed_origin(response) == APP
    exposed = response.headers["Access-Control-Expose-Headers"].lower()
    assert "x-request-id" in exposed
    assert "x-cost-usd" in exposed


def test_cors_of_a_missing_key():
    """A listed origin may read the error of a missing key."""
    response = ScriptedServer(**CORS, api_key=KEY).ask(headers={"Origin": APP})
    assert response.status_code == 401
    assert allowed_origin(response) == APP


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), (CHAT_PATH, 405)])
def test_cors_of_unknown_urls(path, status):
    """A listed origin may read the error of an unknown path or method."""
    response = ScriptedServer(**CORS).client.get(path, headers={"Origin": APP})
    assert response.status_code == status
    assert allowed_origin(response) == APP


def test_unlisted_origin():
    """An origin that is not listed may read nothing."""
    response = ScriptedServer(**CORS, api_key=KEY).ask(
        headers={"Origin": "https://evil.example", "x-api-key": KEY}
    )
    assert allowed_origin(response) is None


def test_every_origin_with_a_key():
    """With a key, pages of every origin may call by default, and no cookies are allowed."""
    response = ScriptedServer(api_key=KEY).ask(headers={"Origin": APP, "x-api-key": KEY})
    assert allowed_origin(response) == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers
    closed = ScriptedServer(api_key=KEY, cors_origins=("none",))
    assert allowed_origin(closed.ask(headers={"Origin": APP, "x-api-key": KEY})) is None


@pytest.mark.parametrize(
    ("origins", "key", "allowed"),
    [((), "", None), ((APP,), "", "true"), ((), KEY, "true"), (("none",), KEY, None)],
)
def test_private_network(origins, key, allowed):
    """A page may call a gateway in a private network if its origin is allowed."""
    headers = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    server = ScriptedServer(cors_origins=origins, api_key=key)
    response = server.client.options(CHAT_PATH, headers=headers)
    assert response.headers.get("Access-Control-Allow-Private-Network") == allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://sub.example.com", True),
        ("https://xexample.com.evil.test", False),
        ("http://[::1]:3000", True),
        ("http://[::1]:3001", False),
    ],
)
def test_cors_patterns(origin, allowed):
    """A star matches the first label of a host; other characters have no special meaning."""
    server = ScriptedServer(
        cors_origins=("https://*.example.com", "http://[::1]:3000"), api_key=KEY
    )
    response = server.ask(headers={"Origin": origin, "x-api-key": KEY})
    assert allowed_origin(response) == (origin if allowed else None)


def test_star_needs_a_key():
    """A star has no effect without a key."""
    headers = {"Origin": "http://localhost:3000", "x-api-key": KEY}
    assert allowed_origin(ScriptedServer(cors_origins=("*",)).ask(headers=headers)) is None
    with_key = ScriptedServer(cors_origins=("*",), api_key=KEY).ask(headers=headers)
    assert allowed_origin(with_key) is not None


def test_star_without_a_key_is_logged(caplog):
    """The log warns the operator that a star has no effect without a key."""
    ScriptedServer(cors_origins=("*",))
    assert "has no effect without a key" in caplog.text
